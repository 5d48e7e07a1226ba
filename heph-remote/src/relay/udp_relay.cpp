#include <heph/remote/udp_relay.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <optional>
#include <span>
#include <system_error>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/detail/entropy.hpp>
#include <heph/rt/net/udp.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

namespace heph::remote::detail {

namespace {

using relay_clock = protocol::datagram_sealer::clock;

// After a failure to receive; it doubles with each one in a row.
constexpr std::chrono::milliseconds first_pause_of_relay{10};
constexpr std::chrono::milliseconds pause_max_of_relay{1'000};

}  // namespace

/// Is what the two halves of a relay share, on the relay's worker; the counters, any thread reads.
class relay_state {
public:
    struct counts {
        std::atomic<std::uint64_t> sent = 0;
        std::atomic<std::uint64_t> too_large = 0;
        std::atomic<std::uint64_t> not_sent = 0;
        std::atomic<std::uint64_t> routed = 0;
        std::atomic<std::uint64_t> refused = 0;
        std::atomic<std::uint64_t> undeliverable = 0;
        std::atomic<std::uint64_t> receive_failures = 0;
    };

    relay_state(rt::net::udp_socket opened, rt::net::endpoint where,
                const udp_relay_options& settings, std::uint64_t number,
                const std::vector<protocol::datagram_key>& keys, std::unique_ptr<published> to)
        : socket(std::move(opened)),
          at(where),
          bytes_max(settings.limits().bytes_max),
          sealer(keys.empty() ? std::nullopt : std::optional(keys.front()), number, bytes_max),
          opener(keys, number, settings.limits()),
          route(std::move(to)) {}

    rt::net::udp_socket socket;
    rt::net::endpoint at;
    std::size_t bytes_max;
    protocol::datagram_sealer sealer;
    protocol::datagram_opener opener;
    std::unique_ptr<published> route;
    counts count;
};

namespace {

void add_one(std::atomic<std::uint64_t>& to) noexcept {
    to.fetch_add(1, std::memory_order_relaxed);
}

/// Gives what arrived to the route, or drops it.
void take_or_throw(relay_state& relay, std::span<const std::byte> bytes) {
    const auto opened = relay.opener.open(bytes, relay_clock::now());
    if (!opened) { return add_one(relay.count.refused); }
    const auto& types = relay.route->types();
    const auto type = std::ranges::find(types, opened->type);
    // A full inbox gives a delivery that waits for room: it is dropped, and the message with it.
    const bool is_taken = type != types.end() && [&] {
        const auto arrived = relay.route->take({}, static_cast<std::uint16_t>(type - types.begin()),
                                               false, opened->payload, true);
        return arrived.has_value() && arrived->message == nullptr;
    }();
    add_one(is_taken ? relay.count.routed : relay.count.undeliverable);
}

/// Takes what arrived. A route's function, and a message's own constructors, may throw.
void take(relay_state& relay, std::span<const std::byte> bytes) noexcept {
    try {
        take_or_throw(relay, bytes);
    } catch (...) { add_one(relay.count.undeliverable); }
}

/// Receives one datagram, and takes it.
task<std::error_code> receive_one(relay_state* relay, rt::buffer* kept) {
    try {
        // One byte more, by which is seen what is too large.
        kept->reserve(relay->bytes_max + 1);
        auto received = co_await relay->socket.recv_from(std::move(*kept));
        if (!received) { co_return received.error(); }
        if (received->is_truncated()) {
            add_one(relay->count.refused);
        } else {
            take(*relay, std::as_bytes(std::span(received->bytes().view())));
        }
        *kept = std::move(received->bytes());
        kept->clear();
        co_return std::error_code();
    } catch (const std::bad_alloc&) {
        co_return std::make_error_code(std::errc::not_enough_memory);
    }
}

/// Tells whether a socket that fails like this is none any more. All else may pass, such as that
/// there was no memory, or that nobody listened where something was sent to.
bool is_end_of_socket(std::error_code why) noexcept {
    return why == std::errc::bad_file_descriptor || why == std::errc::not_a_socket ||
           why == make_error_code(rt::errc::closed);
}

task<> receive_all(std::shared_ptr<relay_state> relay) {
    rt::buffer kept;
    auto pause = first_pause_of_relay;
    for (;;) {
        auto receiving = receive_one(relay.get(), &kept);
        const std::error_code why = co_await receiving;
        if (!why) {
            pause = first_pause_of_relay;
            continue;
        }
        add_one(relay->count.receive_failures);
        if (is_end_of_socket(why)) {
            heph::log(log_level::error,
                      "a relay over UDP receives nothing any more: " + why.message());
            co_return;
        }
        co_await rt::timer(pause);
        pause = std::min(2 * pause, pause_max_of_relay);
    }
}

task<> send_all(rt::local_context<outgoing_datagram>* ctx, std::shared_ptr<relay_state> relay) {
    const auto& types = relay->route->types();
    while (auto message = co_await ctx->receive()) {
        try {
            std::vector<std::byte> bytes;
            const auto sealed = relay->sealer.seal(bytes, types[message->type], message->payload,
                                                   relay_clock::now());
            if (!sealed) {
                add_one(relay->count.too_large);
                continue;
            }
            auto datagram = rt::buffer::copy_of(
                std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
            const auto sent = co_await relay->socket.send_to(std::move(datagram), message->to);
            add_one(sent ? relay->count.sent : relay->count.not_sent);
        } catch (const std::bad_alloc&) { add_one(relay->count.not_sent); }
    }
}

task<> run_relay(rt::local_context<outgoing_datagram> ctx, std::shared_ptr<relay_state> relay) {
    auto receiving = receive_all(relay);
    auto sending = send_all(&ctx, relay);
    // What is received is dropped with the future that waits for it, when the relay ends.
    auto first = heph::either(rt::stopping(), sending, std::move(receiving));
    const auto ended = co_await first;
    // A socket that receives no more may still send: what is under way goes on.
    if (ended.index() == 2) {
        auto rest = heph::either(rt::stopping(), sending);
        co_await rest;
    }
}

std::expected<std::uint64_t, rt::error> random_number() {
    try {
        return rt::detail::random_number<std::uint64_t>();
    } catch (const std::system_error& thrown) {
        return std::unexpected(rt::error(thrown.code(), "no random bits from the system"));
    }
}

std::unexpected<rt::error> invalid(std::string message) {
    return std::unexpected(
        rt::error(std::make_error_code(std::errc::invalid_argument), std::move(message)));
}

}  // namespace

std::expected<started_relay, rt::error> start_udp_relay(rt::worker& worker,
                                                        const udp_relay_options& settings,
                                                        std::unique_ptr<published> route) {
    constexpr std::size_t datagram_min = 128;
    constexpr std::size_t datagram_max = 65'507;
    const auto& limits = settings.limits();
    if (limits.bytes_max < datagram_min || limits.bytes_max > datagram_max) {
        return invalid("a relay's datagrams have 128 to 65,507 bytes at most");
    }
    if (limits.time_window < std::chrono::seconds(1) || limits.senders_max == 0 ||
        settings.inbox_size() == 0) {
        return invalid("a relay's time window is at least a second, and its counts are not zero");
    }
    const auto at = rt::net::endpoint::parse(settings.address());
    if (!at) {
        return std::unexpected(rt::error(
            at.error(), "'" + settings.address() + "' is no address such as 192.0.2.1:9001"));
    }
    auto socket = rt::net::udp_socket::bind(*at);
    const auto where = socket ? socket->local_endpoint() : std::unexpected(socket.error());
    if (!where) {
        return std::unexpected(rt::error(where.error(), "cannot receive at " + settings.address() +
                                                            ": " + where.error().message()));
    }
    const auto number = random_number();
    if (!number) { return std::unexpected(number.error()); }
    std::vector<protocol::datagram_key> keys;
    for (const auto& each : settings.secrets()) {
        keys.emplace_back(each.bytes(), settings.channel());
    }
    if (keys.empty()) {
        heph::log(log_level::warning, "the relay at " + where->to_string() +
                                          " takes datagrams of anyone: it has no secret");
    }
    auto state = std::make_shared<relay_state>(std::move(*socket), *where, settings, *number, keys,
                                               std::move(route));
    heph::actor_options inbox;
    inbox.inbox_size = settings.inbox_size();
    inbox.name = "udp relay";
    auto ref =
        worker.spawn(std::move(inbox), heph::no_supervisor(), heph::actor_fn(run_relay), state);
    return started_relay{std::move(ref), std::move(state)};
}

udp_relay_counters counters_of(const relay_state& state) noexcept {
    const auto read = [](const std::atomic<std::uint64_t>& from) {
        return from.load(std::memory_order_relaxed);
    };
    udp_relay_counters made;
    made.sent = read(state.count.sent);
    made.too_large = read(state.count.too_large);
    made.not_sent = read(state.count.not_sent);
    made.routed = read(state.count.routed);
    made.refused = read(state.count.refused);
    made.undeliverable = read(state.count.undeliverable);
    made.receive_failures = read(state.count.receive_failures);
    return made;
}

const rt::net::endpoint& endpoint_of(const relay_state& state) noexcept { return state.at; }

}  // namespace heph::remote::detail
