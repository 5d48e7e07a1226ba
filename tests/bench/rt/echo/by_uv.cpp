#include <uv.h>

#include <array>
#include <cstdlib>

#include "servers.hpp"

namespace heph::bench {

namespace {

struct connection {
    uv_tcp_t socket;
    std::array<char, 1024> bytes;
};

void close_connection(uv_handle_t* socket) { delete static_cast<connection*>(socket->data); }

void received(uv_stream_t* stream, ssize_t size, const uv_buf_t* /*bytes*/) {
    auto& one = *static_cast<connection*>(stream->data);
    if (size < 0) {
        uv_close(reinterpret_cast<uv_handle_t*>(stream), &close_connection);
        return;
    }
    uv_buf_t answer = uv_buf_init(one.bytes.data(), static_cast<unsigned>(size));
    const int sent = uv_try_write(stream, &answer, 1);
    if (sent < 0) { std::abort(); }  // Never with one message under way.
}

void make_room(uv_handle_t* handle, std::size_t /*suggested*/, uv_buf_t* room) {
    auto& one = *static_cast<connection*>(handle->data);
    *room = uv_buf_init(one.bytes.data(), static_cast<unsigned>(one.bytes.size()));
}

void connected(uv_stream_t* listener, int status) {
    if (status < 0) { return; }
    auto* one = new connection;
    uv_tcp_init(listener->loop, &one->socket);
    one->socket.data = one;
    auto* stream = reinterpret_cast<uv_stream_t*>(&one->socket);
    if (uv_accept(listener, stream) != 0) { std::abort(); }
    uv_tcp_nodelay(&one->socket, 1);
    uv_read_start(stream, &make_room, &received);
}

}  // namespace

void serve_with_uv(int listener, std::string_view /*reply*/) {
    uv_loop_t loop;
    uv_tcp_t server;
    uv_loop_init(&loop);
    uv_tcp_init(&loop, &server);
    if (uv_tcp_open(&server, listener) != 0 ||
        uv_listen(reinterpret_cast<uv_stream_t*>(&server), 1024, &connected) != 0) {
        std::_Exit(1);
    }
    for (;;) { uv_run(&loop, UV_RUN_DEFAULT); }
}

}  // namespace heph::bench
