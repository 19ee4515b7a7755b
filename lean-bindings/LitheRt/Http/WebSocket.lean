import LitheRt.Http.WebSocket.Connection
import LitheRt.Http.WebSocket.Events
import LitheRt.Http.WebSocket.Handler
import LitheRt.Http.WebSocket.Message
import LitheRt.Http.WebSocket.Options
