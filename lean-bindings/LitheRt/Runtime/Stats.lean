namespace LitheRt

/-- What a server has counted since it was started, and what there is at present. The numbers are
read one by one while the server goes on, so two of them may be a moment apart. -/
structure ServerStats where
  /-- Connections accepted from the system, those that were refused included. -/
  accepted : UInt64
  /-- Connections refused because there were too many. -/
  refused : UInt64
  /-- Failures to accept a connection, for want of file descriptors or memory. -/
  acceptErrors : UInt64
  /-- How often clients have run into a limit. -/
  limitHits : UInt64
  /-- Connections that ended by themselves in a drain. -/
  drained : UInt64
  /-- Connections that a drain has cut. -/
  cut : UInt64
  /-- Requests, those that the library has answered by itself included. -/
  requests : UInt64
  /-- Responses, those that begin a WebSocket or an event stream included. -/
  responses : UInt64
  /-- At present: requests that wait for the event loop to take them. -/
  waitingRequests : UInt64
  /-- At present: HTTP connections that are neither of those below. -/
  httpOpen : UInt64
  /-- Bytes received. -/
  httpBytesIn : UInt64
  /-- Bytes sent. -/
  httpBytesOut : UInt64
  /-- At present: WebSockets. -/
  wsOpen : UInt64
  /-- At present: bytes that wait to be sent on them. -/
  wsQueuedBytes : UInt64
  /-- Messages received. -/
  wsMessagesIn : UInt64
  /-- Bytes of these messages. -/
  wsBytesIn : UInt64
  /-- Messages queued to be sent. -/
  wsMessagesOut : UInt64
  /-- Bytes sent, as they are encoded. -/
  wsBytesOut : UInt64
  /-- At present: event streams. -/
  sseOpen : UInt64
  /-- At present: bytes that wait to be sent on them. -/
  sseQueuedBytes : UInt64
  /-- Events queued to be sent. -/
  sseEventsOut : UInt64
  /-- Bytes sent, as they are encoded. -/
  sseBytesOut : UInt64
  deriving BEq, Inhabited, Repr

/-- The counters in the order in which the library has them. -/
def ServerStats.ofCounters (n : Array UInt64) : ServerStats where
  accepted := n[0]!
  refused := n[1]!
  acceptErrors := n[2]!
  limitHits := n[3]!
  drained := n[4]!
  cut := n[5]!
  requests := n[6]!
  responses := n[7]!
  waitingRequests := n[8]!
  httpOpen := n[9]!
  httpBytesIn := n[10]!
  httpBytesOut := n[11]!
  wsOpen := n[12]!
  wsQueuedBytes := n[13]!
  wsMessagesIn := n[14]!
  wsBytesIn := n[15]!
  wsMessagesOut := n[16]!
  wsBytesOut := n[17]!
  sseOpen := n[18]!
  sseQueuedBytes := n[19]!
  sseEventsOut := n[20]!
  sseBytesOut := n[21]!

end LitheRt
