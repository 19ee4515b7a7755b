import LitheRt.Http.SSE.Format
import LitheRt.Http.SSE.Parse
