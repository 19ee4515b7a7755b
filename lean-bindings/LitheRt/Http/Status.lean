namespace LitheRt

/-- The status of a response, from 200 to 599. A numeral is one: `404`. -/
structure Status where
  /-- Its number. -/
  code : UInt16
  deriving BEq, DecidableEq, Hashable, Inhabited, Repr

namespace Status

instance : OfNat Status n := ⟨⟨.ofNat n⟩⟩

instance : ToString Status := ⟨fun status => toString status.code⟩

/-- The status with that number. -/
def ofCode (code : UInt16) : Status := ⟨code⟩

/-- 200: here it is. -/
def ok : Status := 200
/-- 201: it was created. -/
def created : Status := 201
/-- 202: it will be done. -/
def accepted : Status := 202
/-- 204: it was done, and there is nothing to tell. -/
def noContent : Status := 204
/-- 301: it is elsewhere for good. -/
def movedPermanently : Status := 301
/-- 302: it is elsewhere for now. -/
def found : Status := 302
/-- 303: the answer is elsewhere, by GET. -/
def seeOther : Status := 303
/-- 304: what the client has is still good. -/
def notModified : Status := 304
/-- 307: it is elsewhere for now, by the same method. -/
def temporaryRedirect : Status := 307
/-- 308: it is elsewhere for good, by the same method. -/
def permanentRedirect : Status := 308
/-- 400: the request makes no sense. -/
def badRequest : Status := 400
/-- 401: the client has to say who it is. -/
def unauthorized : Status := 401
/-- 403: the client may not. -/
def forbidden : Status := 403
/-- 404: there is nothing by that name. -/
def notFound : Status := 404
/-- 405: not by that method. -/
def methodNotAllowed : Status := 405
/-- 409: it contradicts what is. -/
def conflict : Status := 409
/-- 413: the body is too large. -/
def contentTooLarge : Status := 413
/-- 422: the body makes no sense. -/
def unprocessable : Status := 422
/-- 426: it is a WebSocket. -/
def upgradeRequired : Status := 426
/-- 429: the client asks too often. -/
def tooManyRequests : Status := 429
/-- 500: the program has failed. -/
def internalError : Status := 500
/-- 503: not now. -/
def unavailable : Status := 503

end Status

end LitheRt
