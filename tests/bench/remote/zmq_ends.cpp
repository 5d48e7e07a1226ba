// ZeroMQ, plain: PUSH and PULL one way, REQ and REP for requests.

#include "ends.hpp"

#ifdef HEPH_BENCH_ZMQ

#include <array>

#include <zmq.h>

namespace bench {

namespace {

void* open(void* context, int type) {
    void* const made = zmq_socket(context, type);
    if (made == nullptr) { fail("no socket of ZeroMQ"); }
    return made;
}

std::string bind(void* socket) {
    std::array<char, 128> at{};
    std::size_t size = at.size();
    if (zmq_bind(socket, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, at.data(), &size) != 0) {
        fail("cannot bind");
    }
    return at.data();
}

/// Takes a message whose size it gives; negative when there is none.
int receive(void* socket, int flags, std::string& into) {
    const int size = zmq_recv(socket, into.data(), into.size(), flags);
    if (size > static_cast<int>(into.size())) { fail("a message is too large"); }
    return size;
}

}  // namespace

int serve_zmq() {
    void* const context = zmq_ctx_new();
    void* const pull = open(context, ZMQ_PULL);
    void* const reply = open(context, ZMQ_REP);
    const auto first = bind(pull);
    announce(first + ',' + bind(reply));
    std::array items{zmq_pollitem_t{pull, 0, ZMQ_POLLIN, 0},
                     zmq_pollitem_t{reply, 0, ZMQ_POLLIN, 0}};
    std::string body(std::size_t{2} * 1024 * 1024, '\0');
    std::uint64_t bytes = 0;
    while (zmq_poll(items.data(), static_cast<int>(items.size()), -1) >= 0) {
        for (int size = 0; (size = receive(pull, ZMQ_DONTWAIT, body)) >= 0;) {
            bytes += static_cast<std::uint64_t>(size);
        }
        const int asked = receive(reply, ZMQ_DONTWAIT, body);
        if (asked < 0) { continue; }
        if (asked > 0) {
            zmq_send(reply, body.data(), static_cast<std::size_t>(asked), 0);
            continue;
        }
        // An empty request asks for the count.
        const auto counted = std::to_string(bytes);
        zmq_send(reply, counted.data(), counted.size(), 0);
    }
    return 1;
}

int measure_zmq(const std::string& where, const load& what) {
    void* const context = zmq_ctx_new();
    void* const push = open(context, ZMQ_PUSH);
    void* const request = open(context, ZMQ_REQ);
    const auto comma = where.find(',');
    if (zmq_connect(push, where.substr(0, comma).c_str()) != 0 ||
        zmq_connect(request, where.substr(comma + 1).c_str()) != 0) {
        fail("no server");
    }
    std::string body(what.body_bytes, 'x');
    std::string answer(std::size_t{2} * 1024 * 1024, '\0');
    const auto ask = [&](const std::string& with) {
        if (zmq_send(request, with.data(), with.size(), 0) < 0) { fail("no request"); }
        return receive(request, 0, answer);
    };
    const auto count = [&] {
        const int size = ask({});
        return std::strtoull(answer.substr(0, static_cast<std::size_t>(size)).c_str(), nullptr, 10);
    };
    const auto before = count();
    const auto begin = steady::now();
    for (std::uint64_t i = 0; i < what.one_way; ++i) {
        if (zmq_send(push, body.data(), body.size(), 0) < 0) { fail("a message was not sent"); }
    }
    if (what.one_way != 0) {
        // Requests overtake messages: it is asked until all have come.
        while (count() != before + what.one_way * what.body_bytes) {}
        report_rate(what, steady::now() - begin);
    }
    std::vector<steady::duration> times;
    for (std::uint64_t i = 0; i < what.requests; ++i) {
        const auto sent = steady::now();
        if (ask(body) != static_cast<int>(body.size())) { fail("a request was not answered"); }
        times.push_back(steady::now() - sent);
    }
    if (!times.empty()) { report_times(std::move(times)); }
    const int linger = 0;
    zmq_setsockopt(push, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(push);
    zmq_close(request);
    zmq_ctx_term(context);
    return 0;
}

}  // namespace bench

#else

namespace bench {

int serve_zmq() { fail("built without ZeroMQ"); }
int measure_zmq(const std::string&, const load&) { fail("built without ZeroMQ"); }

}  // namespace bench

#endif
