/-!
# What the library gives

The functions of the C library, as the shim `native/lithe_lean.c` gives them to Lean. They are for
the other modules of this package: what a program needs is there, with types that say what is what.

Handles are numbers, which the library tells from those that are freed. A time is in milliseconds;
`forever` stands for no limit. Errors are `IO.Error.otherError`, with the library's code as a
positive number, and its words.

Those that wait hold up their thread, which must be that of a dedicated task.
-/

namespace LitheRt.FFI

/-- A time that is never over. -/
def forever : UInt32 := 0xFFFFFFFF

/-- The version of the library that is linked. -/
@[extern "lithe_lean_version"]
opaque version : IO String

/-! ## Options -/

@[extern "lithe_lean_options_create"]
opaque optionsCreate (kind : UInt32) : IO UInt64

@[extern "lithe_lean_options_set"]
opaque optionsSet (options : UInt64) (name value : @& String) : IO Unit

@[extern "lithe_lean_options_free"]
opaque optionsFree (options : UInt64) : IO Unit

/-! ## Servers. Options of 0 ask for the defaults. -/

@[extern "lithe_lean_server_start"]
opaque serverStart (options : UInt64) : IO UInt64

@[extern "lithe_lean_server_port"]
opaque serverPort (server : UInt64) : IO UInt32

@[extern "lithe_lean_server_address"]
opaque serverAddress (server : UInt64) : IO String

/-- Blocks. How many connections ended by themselves, and how many were cut. -/
@[extern "lithe_lean_server_drain"]
opaque serverDrain (server : UInt64) (timeoutMs : UInt32) : IO (UInt64 × UInt64)

/-- Blocks until the library's threads have ended. -/
@[extern "lithe_lean_server_stop"]
opaque serverStop (server : UInt64) : IO Unit

@[extern "lithe_lean_server_free"]
opaque serverFree (server : UInt64) : IO Unit

@[extern "lithe_lean_server_wake"]
opaque serverWake (server : UInt64) : IO Unit

@[extern "lithe_lean_server_stats"]
opaque serverStats (server : UInt64) : IO (Array UInt64)

@[extern "lithe_lean_server_metrics"]
opaque serverMetrics (server : UInt64) : IO String

@[extern "lithe_lean_server_mount"]
opaque serverMount (server hub : UInt64) (path : @& String) (options : UInt64) : IO Unit

/-! ## Batches of events -/

private opaque BatchPointed : NonemptyType

/-- Events that were taken together. Their messages are freed with it. -/
def Batch : Type := BatchPointed.type

instance : Nonempty Batch := BatchPointed.property

@[extern "lithe_lean_batch_create"]
opaque batchCreate (capacity : UInt32) : IO Batch

/-- Blocks. Takes the next events in place of those in the batch, and says how many there are. -/
@[extern "lithe_lean_batch_wait"]
opaque batchWait (batch : @& Batch) (server : UInt64) (timeoutMs : UInt32) : IO UInt32

/-- From the lowest byte: the kind of the event, of its handle, of its message, and whether an end
was clean. -/
@[extern "lithe_lean_batch_kinds"]
opaque batchKinds (batch : @& Batch) (index : UInt32) : IO UInt32

@[extern "lithe_lean_batch_handle"]
opaque batchHandle (batch : @& Batch) (index : UInt32) : IO UInt64

@[extern "lithe_lean_batch_user_data"]
opaque batchUserData (batch : @& Batch) (index : UInt32) : IO UInt64

@[extern "lithe_lean_batch_code"]
opaque batchCode (batch : @& Batch) (index : UInt32) : IO UInt32

/-- Takes the message out of the event. -/
@[extern "lithe_lean_batch_data"]
opaque batchData (batch : @& Batch) (index : UInt32) : IO ByteArray

/-! ## Requests -/

/-- The method, path, query, peer and subprotocols. -/
@[extern "lithe_lean_request_texts"]
opaque requestTexts (request : UInt64) : IO (Array String)

@[extern "lithe_lean_request_last_event_id"]
opaque requestLastEventId (request : UInt64) : IO (Option String)

@[extern "lithe_lean_request_headers"]
opaque requestHeaders (request : UInt64) : IO (Array (String × String))

/-- None when the body is to be read by `requestRead`. -/
@[extern "lithe_lean_request_body"]
opaque requestBody (request : UInt64) : IO (Option ByteArray)

/-- Blocks. Empty at the end. -/
@[extern "lithe_lean_request_read"]
opaque requestRead (request : UInt64) (capacity timeoutMs : UInt32) : IO ByteArray

@[extern "lithe_lean_request_is_websocket"]
opaque requestIsWebSocket (request : UInt64) : IO Bool

@[extern "lithe_lean_request_respond"]
opaque requestRespond (request : UInt64) (status : UInt32) (headers : @& Array (String × String))
    (body : @& ByteArray) : IO Unit

@[extern "lithe_lean_request_respond_stream"]
opaque requestRespondStream (request : UInt64) (status : UInt32)
    (headers : @& Array (String × String)) (options : UInt64) : IO UInt64

@[extern "lithe_lean_request_free"]
opaque requestFree (request : UInt64) : IO Unit

/-! ## Streamed responses -/

/-- Blocks while the send queue is full. -/
@[extern "lithe_lean_response_write"]
opaque responseWrite (response : UInt64) (data : @& ByteArray) (timeoutMs : UInt32) : IO Unit

@[extern "lithe_lean_response_finish"]
opaque responseFinish (response : UInt64) : IO Unit

/-- Blocks. Whether it has ended. -/
@[extern "lithe_lean_response_wait_closed"]
opaque responseWaitClosed (response : UInt64) (timeoutMs : UInt32) : IO Bool

@[extern "lithe_lean_response_free"]
opaque responseFree (response : UInt64) : IO Unit

/-! ## WebSockets -/

@[extern "lithe_lean_ws_accept"]
opaque wsAccept (request options : UInt64) : IO UInt64

@[extern "lithe_lean_ws_protocol"]
opaque wsProtocol (ws : UInt64) : IO String

/-- Blocks. The kind and the data of a message; a kind of 0 says that the WebSocket is closed. -/
@[extern "lithe_lean_ws_receive"]
opaque wsReceive (ws : UInt64) (timeoutMs : UInt32) : IO (UInt8 × ByteArray)

/-- Blocks while the send queue is full. -/
@[extern "lithe_lean_ws_send"]
opaque wsSend (ws : UInt64) (kind : UInt8) (data : @& ByteArray) (timeoutMs : UInt32) : IO Unit

/-- Blocks while the send queue is full. -/
@[extern "lithe_lean_ws_send_text"]
opaque wsSendText (ws : UInt64) (text : @& String) (timeoutMs : UInt32) : IO Unit

/-- A byte for each of the WebSockets: 0, or the code of its error. -/
@[extern "lithe_lean_ws_broadcast"]
opaque wsBroadcast (sockets : @& Array UInt64) (kind : UInt8) (data : @& ByteArray) : IO ByteArray

@[extern "lithe_lean_ws_close"]
opaque wsClose (ws : UInt64) (code : UInt32) (reason : @& String) : IO Unit

/-- Blocks. The code, whether the end was clean, and the reason; none when the time is over. -/
@[extern "lithe_lean_ws_close_info"]
opaque wsCloseInfo (ws : UInt64) (timeoutMs : UInt32) : IO (Option (UInt32 × Bool × String))

@[extern "lithe_lean_ws_queued"]
opaque wsQueued (ws : UInt64) : IO UInt64

@[extern "lithe_lean_ws_pause"]
opaque wsPause (ws : UInt64) : IO Unit

@[extern "lithe_lean_ws_resume"]
opaque wsResume (ws : UInt64) : IO Unit

@[extern "lithe_lean_ws_free"]
opaque wsFree (ws : UInt64) : IO Unit

/-! ## Event streams. `fields` has a bit for each text that is there: 1 data, 2 name, 4 id, 8
comment. A `retryMs` of 0 is none. -/

@[extern "lithe_lean_sse_open"]
opaque sseOpen (request options : UInt64) : IO UInt64

/-- Blocks while the send queue is full. -/
@[extern "lithe_lean_sse_send"]
opaque sseSend (sse : UInt64) (fields : UInt8) (data name id comment : @& String)
    (retryMs : UInt64) (timeoutMs : UInt32) : IO Unit

@[extern "lithe_lean_sse_format"]
opaque sseFormat (fields : UInt8) (data name id comment : @& String) (retryMs : UInt64) :
    IO ByteArray

/-- Blocks. Whether it has ended. -/
@[extern "lithe_lean_sse_wait_closed"]
opaque sseWaitClosed (sse : UInt64) (timeoutMs : UInt32) : IO Bool

@[extern "lithe_lean_sse_close"]
opaque sseClose (sse : UInt64) : IO Unit

@[extern "lithe_lean_sse_free"]
opaque sseFree (sse : UInt64) : IO Unit

/-! ## Hubs -/

@[extern "lithe_lean_hub_create"]
opaque hubCreate (options : UInt64) (namespaces : @& Array UInt64) : IO UInt64

/-- Blocks until the hub's thread has ended. -/
@[extern "lithe_lean_hub_free"]
opaque hubFree (hub : UInt64) : IO Unit

@[extern "lithe_lean_hub_health"]
opaque hubHealth (hub : UInt64) : IO Bool

@[extern "lithe_lean_hub_stats"]
opaque hubStats (hub : UInt64) : IO (Array UInt64)

/-- Blocks with Redis only. The epoch, the offset, the receivers, and 1 for a duplicate. -/
@[extern "lithe_lean_publish"]
opaque publish (hub : UInt64) (channel : @& String) (data : @& ByteArray) (options : UInt64) :
    IO (Array UInt64)

@[extern "lithe_lean_hub_position"]
opaque hubPosition (hub : UInt64) (channel : @& String) : IO (Option (UInt64 × UInt64))

/-- The epochs and offsets of both ends, and of each publication its epoch, offset and time, its
name and key, and its data. -/
@[extern "lithe_lean_hub_history"]
opaque hubHistory (hub : UInt64) (channel : @& String) (after : UInt64) (capacity : UInt32) :
    IO (Option (Array UInt64 × Array (Array UInt64 × (String × String) × ByteArray)))

@[extern "lithe_lean_hub_presence"]
opaque hubPresence (hub : UInt64) (channel : @& String) : IO (Array (String × ByteArray))

@[extern "lithe_lean_ws_subscribe"]
opaque wsSubscribe (ws hub : UInt64) (channels : @& String) (options : UInt64) : IO Unit

@[extern "lithe_lean_ws_unsubscribe"]
opaque wsUnsubscribe (ws hub : UInt64) (channel : @& String) : IO Unit

@[extern "lithe_lean_sse_subscribe"]
opaque sseSubscribe (sse hub : UInt64) (channels : @& String) (options : UInt64) : IO Unit

/-! ## Who may do what -/

/-- The subject, channel, token, query and peer. -/
@[extern "lithe_lean_authorization_texts"]
opaque authorizationTexts (authorization : UInt64) : IO (Array String)

/-- The action, whether it renews, and the tag. -/
@[extern "lithe_lean_authorization_numbers"]
opaque authorizationNumbers (authorization : UInt64) : IO (Array UInt64)

@[extern "lithe_lean_authorization_header"]
opaque authorizationHeader (authorization : UInt64) (name : @& String) : IO (Option String)

/-- A grant of 0 refuses. -/
@[extern "lithe_lean_authorization_answer"]
opaque authorizationAnswer (authorization grant : UInt64) : IO Unit

@[extern "lithe_lean_authorization_free"]
opaque authorizationFree (authorization : UInt64) : IO Unit

/-! ## Signals -/

/-- From now on SIGINT and SIGTERM are noted, each for one time. -/
@[extern "lithe_lean_interrupt_watch"]
opaque interruptWatch : IO Unit

/-- Whether one of them has come. -/
@[extern "lithe_lean_interrupted"]
opaque interrupted : IO Bool

end LitheRt.FFI
