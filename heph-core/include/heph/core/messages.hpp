#pragma once

// Messages that many actors take.
//
//     using message = std::variant<heph::messages::start, job, heph::messages::terminate>;
//
//     heph::task<> worker(heph::context<message> ctx) {
//         while (auto next = co_await ctx.receive()) {
//             const bool go_on = heph::match(
//                 *next,
//                 [&](heph::messages::start) { …; return true; },
//                 [&](job& work) { …; return true; },
//                 [&](heph::messages::terminate) { return false; });
//             if (!go_on) { co_return; }
//         }
//     }
//     (void)ref.try_send(heph::messages::start());   // converts to the variant
//     heph::actor_ref<heph::messages::terminate> stop = ref;  // for whoever may only end it
//
// A message of one's own needs nothing but a move constructor that does not throw. Give it a
// constructor, too, when it has members with destructors: in an expression with a `co_await`, g++
// 12 destroys aggregate temporaries twice. All of these are safe everywhere:
//
//     struct named { explicit named(std::string n) : name(std::move(n)) {} std::string name; };
//     co_await ref.send(named("x"));        // a type with a constructor
//     co_await ref.emplace<named>("x");     // made in place: aggregates, too
//     aggregate message{"x"};               // a named variable, moved
//     co_await ref.send(std::move(message));

#include <compare>
#include <string_view>

namespace heph::messages {

namespace detail {

/// What messages without content have in common.
template <typename Derived>
struct empty_message {
    friend constexpr bool operator==(const Derived&, const Derived&) noexcept { return true; }
};

}  // namespace detail

/// Asks to begin.
struct start : detail::empty_message<start> {
    constexpr start() noexcept {}  // NOLINT(modernize-use-equals-default): not an aggregate.
};

/// Says that something was received.
struct ack : detail::empty_message<ack> {
    constexpr ack() noexcept {}  // NOLINT(modernize-use-equals-default)
};

/// Says that something is finished.
struct done : detail::empty_message<done> {
    constexpr done() noexcept {}  // NOLINT(modernize-use-equals-default)
};

/// Asks to give up what is being done, and to go on with the next.
struct cancel : detail::empty_message<cancel> {
    constexpr cancel() noexcept {}  // NOLINT(modernize-use-equals-default)
};

/// Asks to end, after finishing what is being done.
struct terminate : detail::empty_message<terminate> {
    constexpr terminate() noexcept {}  // NOLINT(modernize-use-equals-default)
};

/// Tells of a process signal. The number is the system's, such as SIGHUP of <csignal>; it converts
/// to and from a runtime's own enumeration by `map_fn`.
class signal {
public:
    explicit constexpr signal(int number) noexcept : number_(number) {}
    [[nodiscard]] constexpr int number() const noexcept { return number_; }

    friend constexpr bool operator==(signal, signal) noexcept = default;
    friend constexpr auto operator<=>(signal, signal) noexcept = default;

private:
    int number_;
};

/// Names a message, for a log line.
[[nodiscard]] constexpr std::string_view to_string(start) noexcept { return "start"; }
[[nodiscard]] constexpr std::string_view to_string(ack) noexcept { return "ack"; }
[[nodiscard]] constexpr std::string_view to_string(done) noexcept { return "done"; }
[[nodiscard]] constexpr std::string_view to_string(cancel) noexcept { return "cancel"; }
[[nodiscard]] constexpr std::string_view to_string(terminate) noexcept { return "terminate"; }

}  // namespace heph::messages
