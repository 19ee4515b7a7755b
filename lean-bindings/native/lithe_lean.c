/*
 * Between Lean and the library: LitheRt/FFI.lean declares what is here.
 *
 * Each function takes scalars and borrowed objects, makes one call, and gives a result of IO. What
 * the library hands out is copied into an object of Lean's and given back at once. Errors bear the
 * library's code, as a positive number, and its words.
 *
 * No header of the C library is included, as Lean's compiler comes without them.
 */

#include <lean/lean.h>
#include <lithe.h>

#if LEAN_VERSION_MAJOR > 4 || (LEAN_VERSION_MAJOR == 4 && LEAN_VERSION_MINOR >= 26)
#define LITHE_IO(...) (__VA_ARGS__)
#define LITHE_IO0 (void)
#else
#define LITHE_IO(...) (__VA_ARGS__, lean_obj_arg world_)
#define LITHE_IO0 (lean_obj_arg world_)
#endif

#if LITHE_ABI_VERSION != 1
#error "this shim speaks version 1 of the library's ABI"
#endif

typedef lean_obj_res result;

extern void *memcpy(void *to, const void *from, size_t len);

/* ---- results ---- */

static result ok(lean_obj_arg value) { return lean_io_result_mk_ok(value); }
static result ok_unit(void) { return ok(lean_box(0)); }
static result ok_bool(int value) { return ok(lean_box(value != 0)); }
static result ok_u32(uint32_t value) { return ok(lean_box_uint32(value)); }
static result ok_u64(uint64_t value) { return ok(lean_box_uint64(value)); }

static result failed(int32_t code) {
    const char *words = lithe_last_error();
    if (!*words) words = lithe_strerror(code);
    return lean_io_result_mk_error(lean_mk_io_error_other_error((uint32_t)-code, lean_mk_string(words)));
}

static result refused(const char *words) {
    uint32_t code = (uint32_t)-LITHE_ERR_BAD_ARGUMENT;
    return lean_io_result_mk_error(lean_mk_io_error_other_error(code, lean_mk_string(words)));
}

static result unit_or_failed(int32_t code) { return code < 0 ? failed(code) : ok_unit(); }
/* By address, as the call that fills it in may be an argument beside it. */
static result handle_or_failed(int32_t code, const uint64_t *handle) {
    return code < 0 ? failed(code) : ok_u64(*handle);
}

static lean_obj_res bytes_of(const void *data, size_t len) {
    lean_object *bytes = lean_alloc_sarray(1, len, len);
    if (len) memcpy(lean_sarray_cptr(bytes), data, len);
    return bytes;
}

/* Bytes that are not UTF-8 are replaced. */
static lean_obj_res text_of(lithe_string_t text) { return lean_mk_string_from_bytes(text.ptr, text.len); }

static lean_obj_res pair_of(lean_obj_arg first, lean_obj_arg second) {
    lean_object *pair = lean_alloc_ctor(0, 2, 0);
    lean_ctor_set(pair, 0, first);
    lean_ctor_set(pair, 1, second);
    return pair;
}

static lean_obj_res some_of(lean_obj_arg value) {
    lean_object *some = lean_alloc_ctor(1, 1, 0);
    lean_ctor_set(some, 0, value);
    return some;
}

static lean_obj_res u64s_of(const uint64_t *values, size_t count) {
    lean_object *array = lean_alloc_array(count, count);
    for (size_t i = 0; i < count; i++) lean_array_set_core(array, i, lean_box_uint64(values[i]));
    return array;
}

/* ---- arguments ---- */

static const char *text_in(b_lean_obj_arg text) { return lean_string_cstr(text); }
static size_t len_in(b_lean_obj_arg text) { return lean_string_size(text) - 1; }
static lithe_string_t string_in(b_lean_obj_arg text) {
    lithe_string_t string = { text_in(text), len_in(text) };
    return string;
}

/* For what the library takes NUL-terminated: what it would not see the end of is refused. */
static bool ends_early(b_lean_obj_arg text) {
    const char *bytes = text_in(text);
    for (size_t i = 0; i < len_in(text); i++)
        if (!bytes[i]) return true;
    return false;
}
static result ended_early(void) { return refused("a text with a NUL in it cannot be given here"); }

/* All bits set stands for no limit of time. */
static int32_t timeout_in(uint32_t ms) {
    return ms == UINT32_MAX ? -1 : ms > INT32_MAX ? INT32_MAX : (int32_t)ms;
}

/*
 * A text that the library gives is valid until its handle is freed, which in Lean may be done on one
 * thread while another one copies the text. Whoever does either holds the lock of the handle: one of
 * a few, so that nobody has to keep one for each handle. It is never held while waiting.
 */
enum { TEXT_LOCKS = 64 };
static _Atomic(bool) text_locks[TEXT_LOCKS];

static _Atomic(bool) *lock_texts(uint64_t handle) {
    _Atomic(bool) *lock = &text_locks[handle % TEXT_LOCKS];
    while (atomic_exchange(lock, true)) {}
    return lock;
}

static void unlock_texts(_Atomic(bool) *lock) { atomic_store(lock, false); }

/* Calls what frees a handle that has such texts. */
static result free_texts(int32_t (*free_handle)(uint64_t), uint64_t handle) {
    _Atomic(bool) *lock = lock_texts(handle);
    int32_t code = free_handle(handle);
    unlock_texts(lock);
    return unit_or_failed(code);
}

static const void *options_in(uint64_t options) { return options ? lithe_options_pointer(options) : NULL; }

/* Room for `count` values of `size` bytes, which lean_dec gives back. */
static lean_obj_res room_for(size_t count, size_t size) {
    return lean_alloc_sarray((unsigned)size, count, count ? count : 1);
}
#define ROOM(type, room) ((type *)(void *)lean_sarray_cptr(room))

static lean_obj_res u64s_in(b_lean_obj_arg array) {
    size_t count = lean_array_size(array);
    lean_object *room = room_for(count, sizeof(uint64_t));
    for (size_t i = 0; i < count; i++)
        ROOM(uint64_t, room)[i] = lean_unbox_uint64(lean_array_get_core(array, i));
    return room;
}

/* An Array (String × String), as long as that lives. */
static lean_obj_res headers_in(b_lean_obj_arg array) {
    size_t count = lean_array_size(array);
    lean_object *room = room_for(count, sizeof(lithe_header_t));
    for (size_t i = 0; i < count; i++) {
        lean_object *pair = lean_array_get_core(array, i);
        ROOM(lithe_header_t, room)[i].name = string_in(lean_ctor_get(pair, 0));
        ROOM(lithe_header_t, room)[i].value = string_in(lean_ctor_get(pair, 1));
    }
    return room;
}

/* What came of each of many, as the bytes of a ByteArray. */
static result results_or_failed(int32_t code, b_lean_obj_arg room, size_t count) {
    if (code < 0) return failed(code);
    lean_object *bytes = lean_alloc_sarray(1, count, count);
    for (size_t i = 0; i < count; i++)
        lean_sarray_cptr(bytes)[i] = (uint8_t)-ROOM(int32_t, room)[i];
    return ok(bytes);
}

/* ---- the library ---- */

LEAN_EXPORT result lithe_lean_version LITHE_IO0 { return ok(lean_mk_string(lithe_version())); }

/* ---- options ---- */

/* Every server and hub begins with options. */
LEAN_EXPORT result lithe_lean_options_create LITHE_IO(uint32_t kind) {
    if (lithe_abi_version() != LITHE_ABI_VERSION)
        return refused("the library that is linked speaks another version of the ABI than these bindings");
    lithe_options_t options;
    return handle_or_failed(lithe_options_create((int32_t)kind, &options), &options);
}

LEAN_EXPORT result lithe_lean_options_set LITHE_IO(uint64_t options, b_lean_obj_arg name, b_lean_obj_arg value) {
    if (ends_early(name) || ends_early(value)) return ended_early();
    return unit_or_failed(lithe_options_set(options, text_in(name), text_in(value)));
}

LEAN_EXPORT result lithe_lean_options_free LITHE_IO(uint64_t options) {
    return unit_or_failed(lithe_options_free(options));
}

/* ---- server ---- */

LEAN_EXPORT result lithe_lean_server_start LITHE_IO(uint64_t options) {
    lithe_server_t server;
    return handle_or_failed(lithe_server_start(options_in(options), &server), &server);
}

LEAN_EXPORT result lithe_lean_server_port LITHE_IO(uint64_t server) {
    int32_t port = lithe_server_port(server);
    return port < 0 ? failed(port) : ok_u32((uint32_t)port);
}

LEAN_EXPORT result lithe_lean_server_address LITHE_IO(uint64_t server) {
    lithe_string_t address;
    int32_t code = lithe_server_address(server, &address);
    return code < 0 ? failed(code) : ok(text_of(address));
}

LEAN_EXPORT result lithe_lean_server_drain LITHE_IO(uint64_t server, uint32_t timeout_ms) {
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;
    int32_t code = lithe_server_drain(server, timeout_in(timeout_ms), &report);
    if (code < 0) return failed(code);
    return ok(pair_of(lean_box_uint64(report.drained), lean_box_uint64(report.cut)));
}

LEAN_EXPORT result lithe_lean_server_stop LITHE_IO(uint64_t server) {
    return unit_or_failed(lithe_server_stop(server));
}

LEAN_EXPORT result lithe_lean_server_free LITHE_IO(uint64_t server) {
    return unit_or_failed(lithe_server_free(server));
}

LEAN_EXPORT result lithe_lean_server_wake LITHE_IO(uint64_t server) {
    return unit_or_failed(lithe_server_wake(server));
}

/* The counters, in the order of lithe_server_stats_t. */
LEAN_EXPORT result lithe_lean_server_stats LITHE_IO(uint64_t server) {
    lithe_server_stats_t stats = LITHE_SERVER_STATS_INIT;
    int32_t code = lithe_server_stats(server, &stats);
    if (code < 0) return failed(code);
    return ok(u64s_of(&stats.accepted, (sizeof stats - sizeof stats.size) / sizeof(uint64_t)));
}

LEAN_EXPORT result lithe_lean_server_metrics LITHE_IO(uint64_t server) {
    lithe_message_t text = LITHE_MESSAGE_INIT;
    int32_t code = lithe_server_metrics(server, &text);
    if (code < 0) return failed(code);
    lean_object *copy = lean_mk_string_from_bytes(text.data, text.len);
    lithe_message_free(&text);
    return ok(copy);
}

LEAN_EXPORT result lithe_lean_server_mount LITHE_IO(uint64_t server, uint64_t hub, b_lean_obj_arg path,
                                                    uint64_t options) {
    if (ends_early(path)) return ended_early();
    return unit_or_failed(lithe_server_mount(server, hub, text_in(path), options_in(options)));
}

/* ---- batches of events ---- */

typedef struct batch {
    size_t capacity;
    size_t count;
    lithe_event_t events[];
} batch;

static void batch_finalize(void *data) {
    batch *it = data;
    lithe_event_free(it->events, it->count);
    free(it);
}

static void batch_foreach(void *data, b_lean_obj_arg f) {}

static _Atomic(lean_external_class *) batch_class;

/* Registering it twice, when two threads come at once, costs a few bytes and does no harm. */
static lean_external_class *get_batch_class(void) {
    lean_external_class *class = atomic_load(&batch_class);
    if (!class) {
        class = lean_register_external_class(batch_finalize, batch_foreach);
        atomic_store(&batch_class, class);
    }
    return class;
}

static batch *batch_in(b_lean_obj_arg object) { return lean_get_external_data(object); }

static const lithe_event_t *event_in(b_lean_obj_arg object, uint32_t index) {
    batch *it = batch_in(object);
    if (index >= it->count) lean_internal_panic("no such event in the batch");
    return &it->events[index];
}

LEAN_EXPORT result lithe_lean_batch_create LITHE_IO(uint32_t capacity) {
    batch *it = malloc(sizeof(batch) + capacity * sizeof(lithe_event_t));
    if (!it) lean_internal_panic_out_of_memory();
    it->capacity = capacity;
    it->count = 0;
    return ok(lean_alloc_external(get_batch_class(), it));
}

/* Takes the next events in place of those from before, and says how many there are. */
LEAN_EXPORT result lithe_lean_batch_wait LITHE_IO(b_lean_obj_arg object, uint64_t server, uint32_t timeout_ms) {
    batch *it = batch_in(object);
    lithe_event_free(it->events, it->count);
    it->count = 0;
    int32_t count = lithe_server_wait(server, it->events, it->capacity, timeout_in(timeout_ms));
    if (count < 0) return failed(count);
    it->count = (size_t)count;
    return ok_u32((uint32_t)count);
}

/* Four bytes: the kind of the event, of the handle, of the message, and whether the end was clean. */
LEAN_EXPORT result lithe_lean_batch_kinds LITHE_IO(b_lean_obj_arg object, uint32_t index) {
    const lithe_event_t *event = event_in(object, index);
    return ok_u32((uint32_t)(event->kind & 0xff) | (uint32_t)(event->handle_kind & 0xff) << 8 |
                  (uint32_t)(event->message.kind & 0xff) << 16 | (uint32_t)(event->clean & 0xff) << 24);
}

LEAN_EXPORT result lithe_lean_batch_handle LITHE_IO(b_lean_obj_arg object, uint32_t index) {
    return ok_u64(event_in(object, index)->handle);
}

LEAN_EXPORT result lithe_lean_batch_user_data LITHE_IO(b_lean_obj_arg object, uint32_t index) {
    return ok_u64(event_in(object, index)->user_data);
}

LEAN_EXPORT result lithe_lean_batch_code LITHE_IO(b_lean_obj_arg object, uint32_t index) {
    return ok_u32((uint32_t)event_in(object, index)->code);
}

/* Takes the message out of the event. */
LEAN_EXPORT result lithe_lean_batch_data LITHE_IO(b_lean_obj_arg object, uint32_t index) {
    lithe_event_t *event = (lithe_event_t *)event_in(object, index);
    lean_object *bytes = bytes_of(event->message.data, event->message.len);
    lithe_message_free(&event->message);
    return ok(bytes);
}

/* ---- requests ---- */

typedef int32_t text_getter(uint64_t handle, lithe_string_t *text);

/* The method, path, query, peer and subprotocols. */
LEAN_EXPORT result lithe_lean_request_texts LITHE_IO(uint64_t request) {
    static text_getter *const getters[] = { lithe_request_method, lithe_request_path, lithe_request_query,
                                            lithe_request_peer, lithe_request_protocols };
    enum { COUNT = sizeof getters / sizeof *getters };
    lithe_string_t texts[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        int32_t code = getters[i](request, &texts[i]);
        if (code < 0) return failed(code);
    }
    lean_object *array = lean_alloc_array(COUNT, COUNT);
    for (size_t i = 0; i < COUNT; i++) lean_array_set_core(array, i, text_of(texts[i]));
    return ok(array);
}

LEAN_EXPORT result lithe_lean_request_last_event_id LITHE_IO(uint64_t request) {
    lithe_string_t id;
    int32_t code = lithe_request_last_event_id(request, &id);
    if (code == LITHE_ERR_NOT_FOUND) return ok(lean_box(0));
    return code < 0 ? failed(code) : ok(some_of(text_of(id)));
}

LEAN_EXPORT result lithe_lean_request_headers LITHE_IO(uint64_t request) {
    int32_t count = lithe_request_header_count(request);
    if (count < 0) return failed(count);
    lean_object *array = lean_mk_empty_array_with_capacity(lean_box((size_t)count));
    for (int32_t i = 0; i < count; i++) {
        lithe_header_t header;
        int32_t code = lithe_request_header_at(request, (size_t)i, &header);
        if (code < 0) {
            lean_dec(array);
            return failed(code);
        }
        array = lean_array_push(array, pair_of(text_of(header.name), text_of(header.value)));
    }
    return ok(array);
}

/* None when the body is for lithe_lean_request_read. */
LEAN_EXPORT result lithe_lean_request_body LITHE_IO(uint64_t request) {
    lithe_string_t body;
    int32_t code = lithe_request_body(request, &body);
    if (code == LITHE_ERR_WRONG_STATE) return ok(lean_box(0));
    return code < 0 ? failed(code) : ok(some_of(bytes_of(body.ptr, body.len)));
}

/* Empty at the end of the body. */
LEAN_EXPORT result lithe_lean_request_read LITHE_IO(uint64_t request, uint32_t capacity, uint32_t timeout_ms) {
    lean_object *bytes = lean_alloc_sarray(1, 0, capacity);
    size_t len;
    int32_t code = lithe_request_read(request, lean_sarray_cptr(bytes), capacity, &len, timeout_in(timeout_ms));
    if (code < 0) {
        lean_dec(bytes);
        return failed(code);
    }
    lean_sarray_set_size(bytes, len);
    return ok(bytes);
}

LEAN_EXPORT result lithe_lean_request_is_websocket LITHE_IO(uint64_t request) {
    int32_t is = lithe_request_is_websocket(request);
    return is < 0 ? failed(is) : ok_bool(is);
}

LEAN_EXPORT result lithe_lean_request_respond LITHE_IO(uint64_t request, uint32_t status, b_lean_obj_arg headers,
                                                       b_lean_obj_arg body) {
    lean_object *room = headers_in(headers);
    int32_t code = lithe_request_respond(request, (int32_t)status, ROOM(lithe_header_t, room),
                                         lean_array_size(headers), lean_sarray_cptr(body), lean_sarray_size(body));
    lean_dec(room);
    return unit_or_failed(code);
}

LEAN_EXPORT result lithe_lean_request_respond_stream LITHE_IO(uint64_t request, uint32_t status,
                                                              b_lean_obj_arg headers, uint64_t options) {
    lithe_response_t response;
    lean_object *room = headers_in(headers);
    int32_t code = lithe_request_respond_stream(request, (int32_t)status, ROOM(lithe_header_t, room),
                                                lean_array_size(headers), options_in(options), &response);
    lean_dec(room);
    return handle_or_failed(code, &response);
}

LEAN_EXPORT result lithe_lean_request_free LITHE_IO(uint64_t request) {
    return unit_or_failed(lithe_request_free(request));
}

/* ---- streamed responses ---- */

LEAN_EXPORT result lithe_lean_response_write LITHE_IO(uint64_t response, b_lean_obj_arg data, uint32_t timeout_ms) {
    return unit_or_failed(lithe_response_write(response, lean_sarray_cptr(data), lean_sarray_size(data),
                                               timeout_in(timeout_ms)));
}

LEAN_EXPORT result lithe_lean_response_finish LITHE_IO(uint64_t response) {
    return unit_or_failed(lithe_response_finish(response));
}

/* Whether it has ended. */
LEAN_EXPORT result lithe_lean_response_wait_closed LITHE_IO(uint64_t response, uint32_t timeout_ms) {
    int32_t code = lithe_response_wait_closed(response, timeout_in(timeout_ms));
    if (code == LITHE_OK || code == LITHE_ERR_CLOSED) return ok_bool(1);
    return code == LITHE_ERR_TIMEOUT ? ok_bool(0) : failed(code);
}

LEAN_EXPORT result lithe_lean_response_free LITHE_IO(uint64_t response) {
    return unit_or_failed(lithe_response_free(response));
}

/* ---- WebSockets ---- */

LEAN_EXPORT result lithe_lean_ws_accept LITHE_IO(uint64_t request, uint64_t options) {
    lithe_ws_t ws;
    return handle_or_failed(lithe_ws_accept(request, options_in(options), &ws), &ws);
}

LEAN_EXPORT result lithe_lean_ws_protocol LITHE_IO(uint64_t ws) {
    lithe_string_t protocol;
    _Atomic(bool) *lock = lock_texts(ws);
    int32_t code = lithe_ws_protocol(ws, &protocol);
    lean_object *copy = code < 0 ? NULL : text_of(protocol);
    unlock_texts(lock);
    return code < 0 ? failed(code) : ok(copy);
}

/* The kind and the data; the kind is 0 when the WebSocket is closed. */
LEAN_EXPORT result lithe_lean_ws_receive LITHE_IO(uint64_t ws, uint32_t timeout_ms) {
    lithe_message_t message;
    int32_t code = lithe_ws_receive(ws, &message, timeout_in(timeout_ms));
    if (code == LITHE_ERR_CLOSED) return ok(pair_of(lean_box(0), bytes_of(NULL, 0)));
    if (code < 0) return failed(code);
    lean_object *data = bytes_of(message.data, message.len);
    size_t kind = (size_t)message.kind;
    lithe_message_free(&message);
    return ok(pair_of(lean_box(kind), data));
}

LEAN_EXPORT result lithe_lean_ws_send LITHE_IO(uint64_t ws, uint8_t kind, b_lean_obj_arg data, uint32_t timeout_ms) {
    return unit_or_failed(lithe_ws_send(ws, kind, lean_sarray_cptr(data), lean_sarray_size(data),
                                        timeout_in(timeout_ms)));
}

LEAN_EXPORT result lithe_lean_ws_send_text LITHE_IO(uint64_t ws, b_lean_obj_arg text, uint32_t timeout_ms) {
    return unit_or_failed(lithe_ws_send(ws, LITHE_TEXT, text_in(text), len_in(text), timeout_in(timeout_ms)));
}

LEAN_EXPORT result lithe_lean_ws_broadcast LITHE_IO(b_lean_obj_arg sockets, uint8_t kind, b_lean_obj_arg data) {
    lithe_buffer_t buffer;
    size_t count = lean_array_size(sockets);
    int32_t code = lithe_buffer_create(kind, lean_sarray_cptr(data), lean_sarray_size(data), &buffer);
    if (code < 0) return failed(code);
    lean_object *ids = u64s_in(sockets);
    lean_object *room = room_for(count, sizeof(int32_t));
    code = lithe_ws_send_many(ROOM(uint64_t, ids), count, buffer, ROOM(int32_t, room));
    result came_of_it = results_or_failed(code, room, count);
    lithe_buffer_free(buffer);
    lean_dec(ids);
    lean_dec(room);
    return came_of_it;
}

LEAN_EXPORT result lithe_lean_ws_close LITHE_IO(uint64_t ws, uint32_t code, b_lean_obj_arg reason) {
    return unit_or_failed(lithe_ws_close(ws, (int32_t)code, text_in(reason), len_in(reason)));
}

/* The code, whether the end was clean, and the reason; none while it has not ended. */
LEAN_EXPORT result lithe_lean_ws_close_info LITHE_IO(uint64_t ws, uint32_t timeout_ms) {
    lithe_ws_close_info_t info = LITHE_WS_CLOSE_INFO_INIT;
    int32_t code = lithe_ws_close_info(ws, NULL, timeout_in(timeout_ms));
    if (code == LITHE_ERR_TIMEOUT) return ok(lean_box(0));
    if (code < 0) return failed(code);
    _Atomic(bool) *lock = lock_texts(ws);
    code = lithe_ws_close_info(ws, &info, 0);
    lean_object *reason = code < 0 ? NULL : text_of(info.reason);
    unlock_texts(lock);
    if (code < 0) return failed(code);
    lean_object *rest = pair_of(lean_box(info.clean != 0), reason);
    return ok(some_of(pair_of(lean_box_uint32((uint32_t)info.code), rest)));
}

LEAN_EXPORT result lithe_lean_ws_queued LITHE_IO(uint64_t ws) {
    int64_t queued = lithe_ws_queued(ws);
    return queued < 0 ? failed((int32_t)queued) : ok_u64((uint64_t)queued);
}

LEAN_EXPORT result lithe_lean_ws_pause LITHE_IO(uint64_t ws) { return unit_or_failed(lithe_ws_pause(ws)); }
LEAN_EXPORT result lithe_lean_ws_resume LITHE_IO(uint64_t ws) { return unit_or_failed(lithe_ws_resume(ws)); }
LEAN_EXPORT result lithe_lean_ws_free LITHE_IO(uint64_t ws) { return free_texts(lithe_ws_free, ws); }

/* ---- event streams ---- */

LEAN_EXPORT result lithe_lean_sse_open LITHE_IO(uint64_t request, uint64_t options) {
    lithe_sse_t sse;
    return handle_or_failed(lithe_sse_open(request, options_in(options), &sse), &sse);
}

/* `fields` has a bit for each text that there is: 1 data, 2 name, 4 id, 8 comment. 0 is no time to retry. */
static lithe_sse_event_t event_of(uint8_t fields, b_lean_obj_arg data, b_lean_obj_arg name, b_lean_obj_arg id,
                                  b_lean_obj_arg comment, uint64_t retry_ms) {
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    if (fields & 1) event.data = string_in(data);
    if (fields & 2) event.name = string_in(name);
    if (fields & 4) event.id = string_in(id);
    if (fields & 8) event.comment = string_in(comment);
    event.retry_ms = (int64_t)retry_ms;
    return event;
}

LEAN_EXPORT result lithe_lean_sse_send LITHE_IO(uint64_t sse, uint8_t fields, b_lean_obj_arg data,
                                                b_lean_obj_arg name, b_lean_obj_arg id, b_lean_obj_arg comment,
                                                uint64_t retry_ms, uint32_t timeout_ms) {
    lithe_sse_event_t event = event_of(fields, data, name, id, comment, retry_ms);
    return unit_or_failed(lithe_sse_send(sse, &event, timeout_in(timeout_ms)));
}

LEAN_EXPORT result lithe_lean_sse_format LITHE_IO(uint8_t fields, b_lean_obj_arg data, b_lean_obj_arg name,
                                                  b_lean_obj_arg id, b_lean_obj_arg comment, uint64_t retry_ms) {
    lithe_sse_event_t event = event_of(fields, data, name, id, comment, retry_ms);
    size_t len;
    int32_t code = lithe_sse_format(&event, NULL, 0, &len);
    if (code < 0 && code != LITHE_ERR_TOO_SMALL) return failed(code);
    lean_object *bytes = lean_alloc_sarray(1, len, len);
    code = lithe_sse_format(&event, lean_sarray_cptr(bytes), len, &len);
    if (code < 0) {
        lean_dec(bytes);
        return failed(code);
    }
    return ok(bytes);
}

/* Whether it has ended. */
LEAN_EXPORT result lithe_lean_sse_wait_closed LITHE_IO(uint64_t sse, uint32_t timeout_ms) {
    int32_t code = lithe_sse_wait_closed(sse, timeout_in(timeout_ms));
    if (code == LITHE_OK) return ok_bool(1);
    return code == LITHE_ERR_TIMEOUT ? ok_bool(0) : failed(code);
}

LEAN_EXPORT result lithe_lean_sse_close LITHE_IO(uint64_t sse) { return unit_or_failed(lithe_sse_close(sse)); }
LEAN_EXPORT result lithe_lean_sse_free LITHE_IO(uint64_t sse) { return unit_or_failed(lithe_sse_free(sse)); }

/* ---- hubs ---- */

/* The namespaces are handles of options, which live on in Lean. */
LEAN_EXPORT result lithe_lean_hub_create LITHE_IO(uint64_t options, b_lean_obj_arg namespaces) {
    size_t count = lean_array_size(namespaces);
    lean_object *room = room_for(count, sizeof(void *));
    for (size_t i = 0; i < count; i++)
        ROOM(const void *, room)[i] = lithe_options_pointer(lean_unbox_uint64(lean_array_get_core(namespaces, i)));
    lithe_hub_t hub = 0;
    int32_t code = lithe_options_set_int(options, "namespaces", (int64_t)(uintptr_t)ROOM(void *, room));
    if (code == LITHE_OK) code = lithe_options_set_int(options, "namespace_count", (int64_t)count);
    if (code == LITHE_OK) code = lithe_hub_create(options_in(options), &hub);
    lean_dec(room);
    return handle_or_failed(code, &hub);
}

LEAN_EXPORT result lithe_lean_hub_free LITHE_IO(uint64_t hub) { return unit_or_failed(lithe_hub_free(hub)); }

LEAN_EXPORT result lithe_lean_hub_health LITHE_IO(uint64_t hub) {
    int32_t well = lithe_hub_health(hub);
    return well < 0 ? failed(well) : ok_bool(well);
}

/* The counters, in the order of lithe_hub_stats_t. */
LEAN_EXPORT result lithe_lean_hub_stats LITHE_IO(uint64_t hub) {
    lithe_hub_stats_t stats = LITHE_HUB_STATS_INIT;
    int32_t code = lithe_hub_stats(hub, &stats);
    if (code < 0) return failed(code);
    return ok(u64s_of(&stats.channels, (sizeof stats - sizeof stats.size) / sizeof(uint64_t)));
}

/* The epoch, the offset, the receivers, and whether it is a duplicate. */
LEAN_EXPORT result lithe_lean_publish LITHE_IO(uint64_t hub, b_lean_obj_arg channel, b_lean_obj_arg data,
                                               uint64_t options) {
    lithe_published_t published = LITHE_PUBLISHED_INIT;
    int32_t code = lithe_publish(hub, text_in(channel), len_in(channel), lean_sarray_cptr(data),
                                 lean_sarray_size(data), options_in(options), &published);
    if (code < 0) return failed(code);
    const uint64_t values[] = { published.position.epoch, published.position.offset,
                                (uint64_t)published.receivers, (uint64_t)published.duplicate };
    return ok(u64s_of(values, 4));
}

/* The epoch and the offset; none when there is nothing. */
LEAN_EXPORT result lithe_lean_hub_position LITHE_IO(uint64_t hub, b_lean_obj_arg channel) {
    lithe_position_t position;
    int32_t code = lithe_hub_position(hub, text_in(channel), len_in(channel), &position);
    if (code == LITHE_ERR_NOT_FOUND) return ok(lean_box(0));
    if (code < 0) return failed(code);
    return ok(some_of(pair_of(lean_box_uint64(position.epoch), lean_box_uint64(position.offset))));
}

/* How far the history goes, as the epochs and offsets of both ends, and of each publication its epoch, offset
   and time, its name and key, and its data; none when there is nothing. */
LEAN_EXPORT result lithe_lean_hub_history LITHE_IO(uint64_t hub, b_lean_obj_arg channel, uint64_t after,
                                                   uint32_t capacity) {
    lithe_history_t history = LITHE_HISTORY_INIT;
    lean_object *room = room_for(capacity, sizeof(lithe_publication_t));
    lithe_publication_t *publications = ROOM(lithe_publication_t, room);
    int32_t count = lithe_hub_history(hub, text_in(channel), len_in(channel), after, publications, capacity,
                                      &history);
    if (count < 0) {
        lean_dec(room);
        return count == LITHE_ERR_NOT_FOUND ? ok(lean_box(0)) : failed(count);
    }
    lean_object *array = lean_alloc_array((size_t)count, (size_t)count);
    for (int32_t i = 0; i < count; i++) {
        const lithe_publication_t *it = &publications[i];
        const uint64_t numbers[] = { it->position.epoch, it->position.offset, it->time_ms };
        lean_object *texts = pair_of(text_of(it->name), text_of(it->key));
        lean_object *rest = pair_of(texts, bytes_of(it->data, it->len));
        lean_array_set_core(array, (size_t)i, pair_of(u64s_of(numbers, 3), rest));
    }
    lithe_publication_free(publications, (size_t)count);
    lean_dec(room);
    const uint64_t ends[] = { history.from.epoch, history.from.offset, history.to.epoch, history.to.offset };
    return ok(some_of(pair_of(u64s_of(ends, 4), array)));
}

/* Of each client its id and what others may know of it. `capacity` is asked for anew when it was too small. */
LEAN_EXPORT result lithe_lean_hub_presence LITHE_IO(uint64_t hub, b_lean_obj_arg channel) {
    int32_t count = lithe_hub_presence(hub, text_in(channel), len_in(channel), NULL, 0);
    if (count < 0) return failed(count);
    for (;;) {
        size_t capacity = (size_t)count + 16;
        lean_object *room = room_for(capacity, sizeof(lithe_client_t));
        lithe_client_t *clients = ROOM(lithe_client_t, room);
        count = lithe_hub_presence(hub, text_in(channel), len_in(channel), clients, capacity);
        size_t filled = count < 0 ? 0 : (size_t)count < capacity ? (size_t)count : capacity;
        bool all = count >= 0 && (size_t)count <= capacity;
        lean_object *array = lean_box(0);
        if (all) {
            array = lean_alloc_array(filled, filled);
            for (size_t i = 0; i < filled; i++) {
                lean_object *info = bytes_of(clients[i].info.ptr, clients[i].info.len);
                lean_array_set_core(array, i, pair_of(text_of(clients[i].id), info));
            }
        }
        lithe_client_free(clients, filled);
        lean_dec(room);
        if (count < 0) return failed(count);
        if (all) return ok(array);
    }
}

LEAN_EXPORT result lithe_lean_ws_subscribe LITHE_IO(uint64_t ws, uint64_t hub, b_lean_obj_arg channels,
                                                    uint64_t options) {
    return unit_or_failed(lithe_ws_subscribe(ws, hub, text_in(channels), len_in(channels), options_in(options)));
}

LEAN_EXPORT result lithe_lean_ws_unsubscribe LITHE_IO(uint64_t ws, uint64_t hub, b_lean_obj_arg channel) {
    return unit_or_failed(lithe_ws_unsubscribe(ws, hub, text_in(channel), len_in(channel)));
}

LEAN_EXPORT result lithe_lean_sse_subscribe LITHE_IO(uint64_t sse, uint64_t hub, b_lean_obj_arg channels,
                                                     uint64_t options) {
    return unit_or_failed(lithe_sse_subscribe(sse, hub, text_in(channels), len_in(channels), options_in(options)));
}

/* ---- who may do what ---- */

/* The subject, channel, token, query and peer. */
LEAN_EXPORT result lithe_lean_authorization_texts LITHE_IO(uint64_t authorization) {
    lithe_authorization_info_t info = LITHE_AUTHORIZATION_INFO_INIT;
    int32_t code = lithe_authorization_info(authorization, &info);
    if (code < 0) return failed(code);
    const lithe_string_t texts[] = { info.subject, info.channel, info.token, info.query, info.peer };
    lean_object *array = lean_alloc_array(5, 5);
    for (size_t i = 0; i < 5; i++) lean_array_set_core(array, i, text_of(texts[i]));
    return ok(array);
}

/* The action, whether it renews, and the tag. */
LEAN_EXPORT result lithe_lean_authorization_numbers LITHE_IO(uint64_t authorization) {
    lithe_authorization_info_t info = LITHE_AUTHORIZATION_INFO_INIT;
    int32_t code = lithe_authorization_info(authorization, &info);
    if (code < 0) return failed(code);
    const uint64_t numbers[] = { (uint64_t)info.action, (uint64_t)info.renews, info.tag };
    return ok(u64s_of(numbers, 3));
}

LEAN_EXPORT result lithe_lean_authorization_header LITHE_IO(uint64_t authorization, b_lean_obj_arg name) {
    lithe_string_t value;
    if (ends_early(name)) return ended_early();
    _Atomic(bool) *lock = lock_texts(authorization);
    int32_t code = lithe_authorization_header(authorization, text_in(name), &value);
    lean_object *copy = code < 0 ? NULL : text_of(value);
    unlock_texts(lock);
    if (code == LITHE_ERR_NOT_FOUND) return ok(lean_box(0));
    return code < 0 ? failed(code) : ok(some_of(copy));
}

/* No options refuse. */
LEAN_EXPORT result lithe_lean_authorization_answer LITHE_IO(uint64_t authorization, uint64_t grant) {
    return unit_or_failed(lithe_authorization_answer(authorization, options_in(grant)));
}

LEAN_EXPORT result lithe_lean_authorization_free LITHE_IO(uint64_t authorization) {
    return free_texts(lithe_authorization_free, authorization);
}

/* ---- signals ---- */

/* On every system that Lean runs on. */
enum { INTERRUPT = 2, TERMINATE = 15 };

typedef void (*signal_handler)(int);
extern signal_handler signal(int number, signal_handler handler);

static volatile int interrupted;

/* No function of the library may be called here, so whoever waits has to look. The next one of these
 * signals ends the process. */
static void note_interrupt(int number) {
    signal(number, (signal_handler)0);
    interrupted = 1;
}

LEAN_EXPORT result lithe_lean_interrupt_watch LITHE_IO0 {
    signal(INTERRUPT, note_interrupt);
    signal(TERMINATE, note_interrupt);
    return ok_unit();
}

LEAN_EXPORT result lithe_lean_interrupted LITHE_IO0 { return ok_bool(interrupted); }
