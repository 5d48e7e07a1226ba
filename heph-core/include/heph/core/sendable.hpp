#pragma once

// What may go to another thread, and what several threads may use at once.
//
//     static_assert(heph::sendable<std::vector<std::string>>);
//     static_assert(!heph::sendable<int*>);                // who else writes to it?
//     static_assert(heph::sendable<std::atomic<int>*>);
//
//     class window { … };                                  // to be used on the GUI's thread only
//     template <> inline constexpr bool heph::enable_sendable<window> = false;
//
//     class metrics { … };                                 // locks, and may be used by all
//     template <> inline constexpr bool heph::enable_shareable<metrics> = true;
//
// C++ cannot look into a class, so that a class is taken to own what it has, and to be fit to move
// to another thread, unless it says that it is not. What the compiler can see it looks into:
// pointers, references, iterators, smart pointers, standard containers, the types of C++'s own
// vocabulary, and, by their messages, references to actors, groups, calls and the ends of channels.
// A pointer is fit when what it leads to may be used by several threads at once: constants,
// atomics, mutexes, and classes that say so. So is an iterator, by what it gives when it is
// dereferenced; one that gives a value, and no reference, is a class like others.

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <expected>
#include <forward_list>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <ranges>
#include <semaphore>
#include <set>
#include <shared_mutex>
#include <span>
#include <stack>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <heph/inbox/fwd.hpp>

namespace heph {

namespace detail {

/// Is what `enable_sendable` is for a type of which nobody said anything.
struct nothing_said {
    constexpr operator bool() const noexcept {
        return true;
    }  // NOLINT(google-explicit-constructor)
};

}  // namespace detail

/// Says whether an object of a type may move to another thread and be used there. Specialise it, as
/// a `bool`, for a type that must not, or for one that is refused although it may. A class may as
/// well have a member `static constexpr bool is_sendable`.
template <typename T>
inline constexpr detail::nothing_said enable_sendable{};

/// Says whether several threads may use one object of a type at once. Specialise it for a type that
/// locks or is atomic, or have a member `static constexpr bool is_shareable` in it. A constant of
/// a sendable type is shareable in any case.
template <typename T>
inline constexpr bool enable_shareable = false;

namespace detail {

template <typename T>
consteval bool sends();
template <typename T>
consteval bool shares();

template <typename T>
inline constexpr bool enable_shareable_std = false;
template <typename T>
inline constexpr bool enable_shareable_std<std::atomic<T>> = true;
template <>
inline constexpr bool enable_shareable_std<std::atomic_flag> = true;
template <>
inline constexpr bool enable_shareable_std<std::mutex> = true;
template <>
inline constexpr bool enable_shareable_std<std::recursive_mutex> = true;
template <>
inline constexpr bool enable_shareable_std<std::timed_mutex> = true;
template <>
inline constexpr bool enable_shareable_std<std::shared_mutex> = true;
template <>
inline constexpr bool enable_shareable_std<std::condition_variable> = true;
template <std::ptrdiff_t Least>
inline constexpr bool enable_shareable_std<std::counting_semaphore<Least>> = true;

/// Describes classes that lead to objects of others, as pointers do.
template <typename T>
concept leads_elsewhere = std::is_class_v<T> && std::input_or_output_iterator<T> &&
                          std::is_reference_v<std::iter_reference_t<T>>;

/// Looks into what holds other types: `value` says whether they all are sendable.
template <typename T>
struct holds : std::true_type {};
template <leads_elsewhere T>
struct holds<T> : std::bool_constant<shares<std::remove_reference_t<std::iter_reference_t<T>>>()> {
};
template <>
struct holds<std::vector<bool>::iterator> : std::false_type {};
template <>
struct holds<std::vector<bool>::reference> : std::false_type {};
template <typename R>
struct holds<std::ranges::ref_view<R>> : std::bool_constant<shares<R>()> {};
template <typename I, typename S, std::ranges::subrange_kind Kind>
struct holds<std::ranges::subrange<I, S, Kind>> : std::bool_constant<sends<I>() && sends<S>()> {};
template <typename... Ts>
struct holds_all : std::bool_constant<(sends<Ts>() && ...)> {};

template <typename T>
struct holds<T*> : std::bool_constant<std::is_function_v<T> || shares<T>()> {};
template <typename T>
struct holds<T&> : std::bool_constant<std::is_function_v<T> || shares<T>()> {};
template <typename T>
struct holds<std::reference_wrapper<T>> : holds<T&> {};
template <typename T, std::size_t Extent>
struct holds<std::span<T, Extent>> : std::bool_constant<shares<T>()> {};
template <typename T>
struct holds<std::shared_ptr<T>> : std::bool_constant<std::is_void_v<T> || shares<T>()> {};
template <typename T>
struct holds<std::weak_ptr<T>> : holds<std::shared_ptr<T>> {};
template <typename T, typename D>
struct holds<std::unique_ptr<T, D>> : holds_all<T, D> {};
template <typename T>
struct holds<std::default_delete<T>> : std::true_type {};
template <typename T>
struct holds<T[]> : holds_all<T> {};
template <typename T, std::size_t N>
struct holds<T[N]> : holds_all<T> {};
template <typename T, std::size_t N>
struct holds<std::array<T, N>> : holds_all<T> {};
template <typename... Ts>
struct holds<std::tuple<Ts...>> : holds_all<Ts...> {};
template <typename A, typename B>
struct holds<std::pair<A, B>> : holds_all<A, B> {};
template <typename... Ts>
struct holds<std::variant<Ts...>> : holds_all<Ts...> {};
template <typename T>
struct holds<std::optional<T>> : holds_all<T> {};
template <typename T, typename E>
struct holds<std::expected<T, E>> : holds_all<std::conditional_t<std::is_void_v<T>, int, T>, E> {};
template <typename T, typename A>
struct holds<std::vector<T, A>> : holds_all<T> {};
template <typename T, typename A>
struct holds<std::deque<T, A>> : holds_all<T> {};
template <typename T, typename A>
struct holds<std::list<T, A>> : holds_all<T> {};
template <typename T, typename A>
struct holds<std::forward_list<T, A>> : holds_all<T> {};
template <typename T, typename C>
struct holds<std::queue<T, C>> : holds_all<C> {};
template <typename T, typename C>
struct holds<std::stack<T, C>> : holds_all<C> {};
template <typename T, typename C, typename Less>
struct holds<std::priority_queue<T, C, Less>> : holds_all<C> {};
template <typename T>
struct holds<std::initializer_list<T>> : holds<std::span<const T>> {};
template <typename T, typename C, typename A>
struct holds<std::set<T, C, A>> : holds_all<T> {};
template <typename T, typename C, typename A>
struct holds<std::multiset<T, C, A>> : holds_all<T> {};
template <typename K, typename T, typename C, typename A>
struct holds<std::map<K, T, C, A>> : holds_all<K, T> {};
template <typename K, typename T, typename C, typename A>
struct holds<std::multimap<K, T, C, A>> : holds_all<K, T> {};
template <typename T, typename H, typename E, typename A>
struct holds<std::unordered_set<T, H, E, A>> : holds_all<T> {};
template <typename K, typename T, typename H, typename E, typename A>
struct holds<std::unordered_map<K, T, H, E, A>> : holds_all<K, T> {};
template <typename T, typename H, typename E, typename A>
struct holds<std::unordered_multiset<T, H, E, A>> : holds_all<T> {};
template <typename K, typename T, typename H, typename E, typename A>
struct holds<std::unordered_multimap<K, T, H, E, A>> : holds_all<K, T> {};

// Who may take a lock from another thread may not give it back from there.
template <typename M>
struct holds<std::lock_guard<M>> : std::false_type {};
template <typename M>
struct holds<std::unique_lock<M>> : std::false_type {};
template <typename M>
struct holds<std::shared_lock<M>> : std::false_type {};
template <typename... Ms>
struct holds<std::scoped_lock<Ms...>> : std::false_type {};
// Both ends of a channel are where its messages are.
template <typename T, typename L>
struct holds<inbox::sender<T, L>> : holds_all<T> {};
template <typename T, typename L>
struct holds<inbox::receiver<T, L>> : holds_all<T> {};
template <typename T, typename L>
struct holds<inbox::manager<T, L>> : holds_all<T> {};
template <typename T, typename E>
struct holds<inbox::oneshot_sender<T, E>> : holds_all<T> {};
template <typename T, typename E>
struct holds<inbox::oneshot_receiver<T, E>> : holds_all<T> {};
template <typename T, typename L>
struct holds<inbox::send_future<T, L>> : holds_all<T> {};

/// Tells whether a runtime access says that what runs with it may move from thread to thread, and
/// therefore has to be sendable, by a member `static constexpr bool runs_on_any_thread = true`.
template <typename RT>
inline constexpr bool runs_on_any_thread = requires { requires RT::runs_on_any_thread; };

template <typename T>
consteval bool sends() {
    using type = std::remove_cv_t<T>;
    if constexpr (!std::is_same_v<decltype(enable_sendable<type>), const nothing_said>) {
        return enable_sendable<type>;
    } else if constexpr (requires {
                             { type::is_sendable } -> std::convertible_to<bool>;
                         }) {
        return type::is_sendable;
    } else {
        return holds<type>::value;
    }
}

template <typename T>
consteval bool shares() {
    using type = std::remove_cv_t<T>;
    if constexpr (requires {
                      { type::is_shareable } -> std::convertible_to<bool>;
                  }) {
        return type::is_shareable;
    } else {
        return enable_shareable<type> || enable_shareable_std<type> ||
               (std::is_const_v<T> && sends<T>());
    }
}

}  // namespace detail

/// Describes types whose objects may move to another thread: see `enable_sendable`.
template <typename T>
concept sendable = detail::sends<T>();

/// Describes types of which several threads may use one object at once: see `enable_shareable`.
template <typename T>
concept shareable = detail::shares<T>();

/// Refuses, in words, an actor that is not fit to run on one thread after another. Its function's
/// locals cannot be seen: what they refer to is the function's own affair.
template <typename Supervisor, typename NewActor, typename RT, typename... Args>
consteval bool check_sendable_actor() {
    static_assert(sendable<typename NewActor::message_type>,
                  "a thread-safe actor's messages come from other threads: their type has to be "
                  "heph::sendable");
    static_assert((sendable<Args> && ...),
                  "a thread-safe actor's arguments have to be heph::sendable: no references, no "
                  "pointers to what only one thread may use; specialise heph::enable_shareable for "
                  "what they lead to if several threads may use it");
    static_assert(sendable<Supervisor>,
                  "a thread-safe actor's supervisor has to be heph::sendable");
    static_assert(sendable<NewActor>, "what makes a thread-safe actor has to be heph::sendable");
    static_assert(sendable<RT>,
                  "a thread-safe actor's runtime access has to be heph::sendable: take the shared "
                  "one, not one worker's own");
    return true;
}

}  // namespace heph
