#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/log.hpp>
#include <heph/core/task.hpp>
#include <heph/http/server.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/runtime.hpp>

#include "connection.hpp"
#include "worker_share.hpp"

namespace heph::http {

namespace detail {

struct server_state {
    router routes;
    http::limits limits;
    std::shared_ptr<const server_security> security;
    rt::net::endpoint local;
    std::string local_name;
    std::variant<std::monostate, rt::net::tcp_server, rt::net::unix_server> accepting;
};

namespace {

// So many connections beyond the limit are told 503 at a time; the others are just closed.
constexpr std::size_t refusals_max = 64;

// So many connections may be beyond the limit until the idle ones that make room have ended.
constexpr std::size_t making_room_max = 64;

// A worker's share, and the server that it refers to.
struct worker_state {
    explicit worker_state(std::shared_ptr<server_state> served)
        : server(std::move(served)),
          share(server->routes, server->limits, server->security.get(),
                std::holds_alternative<rt::net::unix_server>(server->accepting)) {}

    std::shared_ptr<server_state> server;
    worker_share share;
};

// Holds a worker's state and counts one connection, from before its task first runs to its end; one
// that is served counts for its address, too.
class admission {
public:
    admission(std::shared_ptr<worker_state> state, std::size_t& count,
              std::optional<address_counts::key> address = {}) noexcept
        : state_(std::move(state)), count_(&count), address_(address) {
        ++*count_;
    }
    admission(admission&&) noexcept = default;
    admission& operator=(admission&&) = delete;
    ~admission() {
        if (!state_) { return; }
        --*count_;
        if (address_) { state_->share.addresses.leave(*address_); }
    }

    [[nodiscard]] worker_share& share() const noexcept { return state_->share; }

private:
    std::shared_ptr<worker_state> state_;
    std::size_t* count_;
    std::optional<address_counts::key> address_;
};

using known_peer = std::optional<rt::net::endpoint>;

// What it waits for besides requests would take room in each of them.
task<void> serve_connection(admission admitted, rt::net::tcp_stream stream, known_peer peer) {
    connection served(std::move(stream), admitted.share(), peer);
    co_await served.run();
}

task<void> serve_secured(admission admitted, rt::net::tcp_stream stream, known_peer peer) {
    connection served(std::move(stream), admitted.share(), peer);
    const bool secured = co_await served.secure(*admitted.share().security);
    if (!secured) { co_return; }
    co_await served.run();
    co_await served.close();
}

task<void> refuse_connection(admission admitted, rt::net::tcp_stream stream, known_peer peer,
                             error why) {
    connection refused(std::move(stream), admitted.share(), peer);
    if (const server_security* security = admitted.share().security) {
        const bool secured = co_await refused.secure(*security);
        if (!secured) { co_return; }
    }
    co_await refused.refuse(why);
}

task<void> close_connection(rt::net::tcp_stream /*stream*/) { co_return; }

// Nobody else is told of a connection that is just closed.
void tell_closed(worker_share& share, known_peer peer, error why) noexcept {
    if (!share.observed) { return; }
    try {
        exchange what;
        what.why = why;
        what.peer = peer;
        share.routes->tell(what);
    } catch (...) {
        share.log(log_level::error, [] { return "http: an observer failed"; });
    }
}

// Gives the connection that makes room for another one; null when none does. Who was served before
// is not closed for want of a place while somebody holds one for nothing.
connection* one_to_leave(worker_share& share) noexcept {
    auto* const silent = static_cast<connection*>(share.silent.oldest());
    if (silent != nullptr && silent->has_been_silent(share.limits->first_request_grace)) {
        return silent;
    }
    return static_cast<connection*>(share.idle.oldest());
}

// Tells whether there is room for a further connection, which may be that of an idle one.
bool has_room(worker_share& share) noexcept {
    const std::size_t most = share.limits->connections_max;
    if (share.connections < most + share.making_room) { return true; }
    if (share.making_room >= making_room_max) { return false; }
    connection* const leaving = one_to_leave(share);
    if (leaving == nullptr) { return false; }
    leaving->make_room();
    return true;
}

// Gives what is to be done about a connection: to serve it, to tell it that there are too many, or
// just to close it.
task<void> admit(const std::shared_ptr<worker_state>& state, rt::net::tcp_stream stream) {
    worker_share& share = state->share;
    error refused = error::too_many_connections;
    // Who is gone already has no address any more, and costs nothing. Nor has a Unix socket one.
    known_peer peer;
    if (!share.over_unix) {
        if (const auto found = stream.peer_endpoint()) { peer = *found; }
    }
    const std::size_t most = share.limits->connections_per_address_max;
    std::optional<address_counts::key> address;
    if (most < share.limits->connections_max && peer) { address = address_counts::key_of(*peer); }
    // Nobody gets others' connections closed by having too many.
    if (address && !share.addresses.enter(*address, most)) {
        refused = error::too_many_connections_of_address;
    } else if (has_room(share)) {
        admission admitted(state, share.connections, address);
        return share.security == nullptr
                   ? serve_connection(std::move(admitted), std::move(stream), peer)
                   : serve_secured(std::move(admitted), std::move(stream), peer);
    } else if (address) {
        share.addresses.leave(*address);
    }
    if (share.refusals < refusals_max) {
        admission admitted(state, share.refusals);
        return refuse_connection(std::move(admitted), std::move(stream), peer, refused);
    }
    tell_closed(share, peer, refused);
    return close_connection(std::move(stream));
}

// Of those who wait at a stop, as many are served as there are places; all who come before it are
// told at once when there is none.
rt::net::serve_options accept_options(const http::limits& limits) {
    rt::net::serve_options options;
    options.connections_max = limits.connections_max;
    options.refused_max = std::numeric_limits<std::size_t>::max();
    return options;
}

}  // namespace

}  // namespace detail

namespace {

constexpr std::string_view unix_prefix = "unix:";

using opened_server = std::expected<server, std::error_code>;

std::string unix_name_of(const rt::net::unix_address& of) {
    return std::string(unix_prefix) + of.to_string();
}

std::expected<rt::net::unix_address, std::error_code> parse_unix_address(std::string_view text) {
    if (text.starts_with('@')) { return rt::net::unix_address::abstract(text.substr(1)); }
    return rt::net::unix_address::path(text);
}

opened_server open_at(const rt::net::unix_address& address, router routes,
                      const server_options& options, std::size_t workers) {
    rt::net::unix_listen_options how;
    how.replace_stale = true;
    how.mode = options.socket_mode;
    how.remove_file = true;
    auto listener = rt::net::unix_listener::bind(address, how);
    if (!listener) { return std::unexpected(listener.error()); }
    // The workers share it: a path has one socket.
    std::vector<rt::net::unix_listener> listeners;
    listeners.push_back(std::move(*listener));
    return server::over_unix(std::move(routes), std::move(listeners), options, workers);
}

std::shared_ptr<detail::server_state> make_state(router routes, const server_options& options) {
    auto state = std::make_shared<detail::server_state>();
    state->routes = std::move(routes);
    state->limits = options.limits;
    state->security = options.tls;
    return state;
}

}  // namespace

std::expected<server, std::error_code> server::open(router routes, const server_options& options,
                                                    std::size_t workers) {
    if (options.address.starts_with(unix_prefix)) {
        const auto named =
            parse_unix_address(std::string_view(options.address).substr(unix_prefix.size()));
        if (!named) { return std::unexpected(named.error()); }
        return open_at(*named, std::move(routes), options, workers);
    }
    const auto address = rt::net::endpoint::parse(options.address);
    if (!address) { return std::unexpected(address.error()); }
    auto listeners = rt::net::listen_on(*address, workers);
    if (!listeners) { return std::unexpected(listeners.error()); }
    return over(std::move(routes), std::move(*listeners), options, workers);
}

std::expected<server, std::error_code> server::over(router routes,
                                                    std::vector<rt::net::tcp_listener> listeners,
                                                    const server_options& options,
                                                    std::size_t workers) {
    if (listeners.empty()) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    auto state = make_state(std::move(routes), options);
    const auto bound = listeners.front().local_endpoint();
    if (!bound) { return std::unexpected(bound.error()); }
    state->local = *bound;
    state->local_name = bound->to_string();
    auto accepting = rt::net::tcp_server::over(std::move(listeners), workers);
    if (!accepting) { return std::unexpected(accepting.error()); }
    state->accepting = std::move(*accepting);
    return server(std::move(state));
}

std::expected<server, std::error_code> server::over_unix(
    router routes, std::vector<rt::net::unix_listener> listeners, const server_options& options,
    std::size_t workers) {
    if (listeners.empty()) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    auto state = make_state(std::move(routes), options);
    const auto bound = listeners.front().local_address();
    if (!bound) { return std::unexpected(bound.error()); }
    state->local_name = unix_name_of(*bound);
    auto accepting = rt::net::unix_server::over(std::move(listeners), workers);
    if (!accepting) { return std::unexpected(accepting.error()); }
    state->accepting = std::move(*accepting);
    return server(std::move(state));
}

std::vector<rt::net::handed_over> server::hand_over(const std::string& name) const {
    if (const auto* over_unix = std::get_if<rt::net::unix_server>(&state_->accepting)) {
        return over_unix->hand_over(name);
    }
    return std::get<rt::net::tcp_server>(state_->accepting).hand_over(name);
}

void server::start(rt::worker& worker) const {
    const auto shared = std::make_shared<detail::worker_state>(state_);
    const rt::net::serve_options options = detail::accept_options(state_->limits);
    if (const auto* over_unix = std::get_if<rt::net::unix_server>(&state_->accepting)) {
        over_unix->start(
            worker,
            [shared](const rt::worker& /*on*/, rt::net::unix_stream stream) {
                return detail::admit(shared, rt::net::tcp_stream(std::move(stream)));
            },
            options);
        return;
    }
    std::get<rt::net::tcp_server>(state_->accepting)
        .start(
            worker,
            [shared](const rt::worker& /*on*/, rt::net::tcp_stream stream) {
                return detail::admit(shared, std::move(stream));
            },
            options);
}

const rt::net::endpoint& server::local_endpoint() const noexcept { return state_->local; }

const std::string& server::local_address() const noexcept { return state_->local_name; }

int serve(router routes, const server_options& options) {
    auto runtime = rt::setup{}.name("http").threads(options.threads).build();
    if (!runtime) { return rt::report(runtime.error()); }
    const auto opened = server::open(std::move(routes), options, options.threads);
    if (!opened) {
        return rt::report(rt::error(opened.error(), "cannot listen on " + options.address + ": " +
                                                        opened.error().message()));
    }
    log(log_level::info,
        std::string(options.tls ? "https" : "http") + ": listening on " + opened->local_address());
    const server shared = *opened;
    runtime->run_on_workers([shared](rt::worker& worker) { shared.start(worker); });
    return rt::report(runtime->start());
}

}  // namespace heph::http
