#include <algorithm>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/task.hpp>
#include <heph/http/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "connection.hpp"

namespace heph::http {

namespace detail {

struct server_state {
    router routes;
    http::limits limits;
    rt::net::endpoint local;
    std::vector<rt::net::tcp_listener> listeners;  // Each is moved out by its worker.
};

namespace {

using namespace std::chrono_literals;

// So many connections beyond the limit are told 503 at a time; the others are just closed.
constexpr std::size_t refusals_max = 64;

// Counts what one worker serves; used on its thread only.
struct worker_load {
    std::size_t connections = 0;
    std::size_t refusals = 0;
};

class counted {
public:
    explicit counted(std::size_t& count) noexcept : count_(&count) { ++*count_; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --*count_; }

private:
    std::size_t* count_;
};

task<void> serve_connection(std::shared_ptr<server_state> state, std::shared_ptr<worker_load> load,
                            rt::net::tcp_stream stream) {
    const counted one(load->connections);
    connection served(std::move(stream), state->routes, state->limits);
    co_await served.run();
}

task<void> refuse_connection(std::shared_ptr<server_state> state, std::shared_ptr<worker_load> load,
                             rt::net::tcp_stream stream) {
    const counted one(load->refusals);
    connection refused(std::move(stream), state->routes, state->limits);
    co_await refused.refuse(error::too_many_connections);
}

void admit(rt::worker& worker, const std::shared_ptr<server_state>& state,
           const std::shared_ptr<worker_load>& load, rt::net::tcp_stream stream) {
    if (load->connections < state->limits.connections_max) {
        worker.spawn_future(serve_connection(state, load, std::move(stream)));
    } else if (load->refusals < refusals_max) {
        worker.spawn_future(refuse_connection(state, load, std::move(stream)));
    }
}

task<void> accept_connections(rt::worker worker, std::shared_ptr<server_state> state,
                              rt::net::tcp_listener listener) {
    const auto load = std::make_shared<worker_load>();
    rt::stopping stop;
    std::error_code last;
    for (;;) {
        auto first = co_await either(listener.accept(), stop);
        if (first.index() == 1) { co_return; }
        auto& accepted = std::get<0>(first);
        if (accepted) {
            last.clear();
            admit(worker, state, load, std::move(*accepted));
            continue;
        }
        // Mostly out of descriptors: connections wait in the backlog until some are closed.
        if (accepted.error() != last) {
            last = accepted.error();
            log(log_level::error, "http: cannot accept connections: " + last.message());
        }
        auto pause = co_await either(rt::timer(100ms), stop);
        if (pause.index() == 1) { co_return; }
    }
}

}  // namespace

}  // namespace detail

std::expected<server, std::error_code> server::open(router routes, const server_options& options,
                                                    std::size_t workers) {
    const auto address = rt::net::endpoint::parse(options.address);
    if (!address) { return std::unexpected(address.error()); }
    auto state = std::make_shared<detail::server_state>();
    state->routes = std::move(routes);
    state->limits = options.limits;
    state->local = *address;
    rt::net::listen_options how;
    how.reuse_port = workers > 1;
    for (std::size_t i = 0; i < std::max<std::size_t>(workers, 1); ++i) {
        auto listener = rt::net::tcp_listener::bind(state->local, how);
        if (!listener) { return std::unexpected(listener.error()); }
        const auto bound = listener->local_endpoint();
        if (!bound) { return std::unexpected(bound.error()); }
        state->local = *bound;
        state->listeners.push_back(std::move(*listener));
    }
    return server(std::move(state));
}

void server::start(rt::worker& worker) const {
    worker.spawn_future(detail::accept_connections(
        worker, state_, std::move(state_->listeners.at(worker.index()))));
}

const rt::net::endpoint& server::local_endpoint() const noexcept { return state_->local; }

int serve(router routes, const server_options& options) {
    auto runtime = rt::setup{}.name("http").threads(options.threads).build();
    if (!runtime) { return rt::report(runtime.error()); }
    const auto opened = server::open(std::move(routes), options, options.threads);
    if (!opened) {
        return rt::report(rt::error(opened.error(), "cannot listen on " + options.address + ": " +
                                                        opened.error().message()));
    }
    log(log_level::info, "http: listening on " + opened->local_endpoint().to_string());
    const server shared = *opened;
    runtime->run_on_workers([shared](rt::worker& worker) { shared.start(worker); });
    return rt::report(runtime->start());
}

}  // namespace heph::http
