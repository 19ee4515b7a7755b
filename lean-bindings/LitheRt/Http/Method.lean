namespace LitheRt

/-- The method of a request. -/
inductive Method where
  | GET | HEAD | POST | PUT | PATCH | DELETE | OPTIONS | CONNECT | TRACE
  /-- Another one, by its name, which counts in its case. -/
  | OTHER (name : String)
  deriving BEq, DecidableEq, Hashable, Inhabited, Repr

namespace Method

/-- The method by its name, such as `GET`, in that case (RFC 9110, §9.1). -/
def ofString : String → Method
  | "GET" => GET
  | "HEAD" => HEAD
  | "POST" => POST
  | "PUT" => PUT
  | "PATCH" => PATCH
  | "DELETE" => DELETE
  | "OPTIONS" => OPTIONS
  | "CONNECT" => CONNECT
  | "TRACE" => TRACE
  | name => OTHER name

/-- The method's name. -/
protected def toString : Method → String
  | GET => "GET"
  | HEAD => "HEAD"
  | POST => "POST"
  | PUT => "PUT"
  | PATCH => "PATCH"
  | DELETE => "DELETE"
  | OPTIONS => "OPTIONS"
  | CONNECT => "CONNECT"
  | TRACE => "TRACE"
  | OTHER name => name

instance : ToString Method := ⟨Method.toString⟩

end Method

end LitheRt
