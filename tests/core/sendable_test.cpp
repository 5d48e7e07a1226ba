// What may go to another thread. What may not is tested in tests/core/refused.

#include <heph/core/sendable.hpp>

#include <array>
#include <atomic>
#include <coroutine>
#include <deque>
#include <expected>
#include <forward_list>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <ranges>
#include <set>
#include <span>
#include <stack>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/actor_group.hpp>
#include <heph/core/either.hpp>
#include <heph/core/from_callback.hpp>
#include <heph/core/from_foreign.hpp>
#include <heph/core/join.hpp>
#include <heph/core/select.hpp>
#include <heph/core/stream.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/timing.hpp>
#include <heph/core/with_cleanup.hpp>

namespace {

struct plain {
    int number = 0;
};
struct window {};
struct metrics {};
struct vetted {
    [[maybe_unused]] static constexpr bool is_sendable = false;  // As its author thought.
};
struct says_no {
    static constexpr bool is_sendable = false;
};
struct locks {
    static constexpr bool is_shareable = true;
};

// A future that belongs to one thread.
struct bound_future {
    using value_type = void;
    static constexpr bool is_sendable = false;
    heph::polled<void> poll(const heph::waker& /*waker*/) { return heph::ready; }
};
struct any_threads {
    static constexpr bool runs_on_any_thread = true;
};
struct one_threads {
    static constexpr bool runs_on_any_thread = true;
    static constexpr bool is_sendable = false;
};
// An operation that calls back, and what an operation uses that belongs to one thread.
struct begins {
    void operator()(heph::completion<int> done) const { done(1); }
};
struct begins_here : begins {
    static constexpr bool is_sendable = false;
};
struct cancels_here {
    static constexpr bool is_sendable = false;
    void operator()() const noexcept {}
};
struct awaited {
    [[nodiscard]] bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<> /*handle*/) const noexcept {}
    void await_resume() const noexcept {}
};
struct awaited_here : awaited {
    static constexpr bool is_sendable = false;
};
struct takes {
    void operator()(int /*value*/) const {}
};
struct takes_here : takes {
    static constexpr bool is_sendable = false;
};
struct shared_values {
    static constexpr bool is_shareable = true;
    heph::inbox::recv_future<int> next();
};
struct own_values {
    heph::inbox::recv_future<int> next();
};

template <typename T>
T make();

heph::task<> counts(heph::context<int> ctx, std::atomic<int>* count) {
    while (auto next = co_await ctx.receive()) { *count += *next; }
}

}  // namespace

template <>
inline constexpr bool heph::enable_sendable<window> = false;
template <>
inline constexpr bool heph::enable_sendable<vetted> = true;
template <>
inline constexpr bool heph::enable_sendable<std::list<int>::iterator> = true;
template <>
inline constexpr bool heph::enable_shareable<metrics> = true;

TEST_CASE("sendable: values are, unless they say no", "[core][sendable]") {
    STATIC_REQUIRE(heph::sendable<int>);
    STATIC_REQUIRE(heph::sendable<std::string>);
    STATIC_REQUIRE(heph::sendable<std::string_view>);
    STATIC_REQUIRE(heph::sendable<plain>);
    STATIC_REQUIRE(heph::sendable<std::unique_ptr<plain>>);
    STATIC_REQUIRE(heph::sendable<heph::actor_ref<int>>);
    STATIC_REQUIRE(heph::sendable<void (*)(int)>);
    STATIC_REQUIRE_FALSE(heph::sendable<window>);
    STATIC_REQUIRE_FALSE(heph::sendable<const window>);
    STATIC_REQUIRE_FALSE(heph::sendable<says_no>);
}

TEST_CASE("sendable: a pointer is when several threads may use what it leads to",
          "[core][sendable]") {
    STATIC_REQUIRE_FALSE(heph::sendable<int*>);
    STATIC_REQUIRE_FALSE(heph::sendable<int&>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::reference_wrapper<plain>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::shared_ptr<plain>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::weak_ptr<plain>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::span<int>>);
    STATIC_REQUIRE(heph::sendable<const int*>);
    STATIC_REQUIRE(heph::sendable<const char*>);
    STATIC_REQUIRE(heph::sendable<std::atomic<int>*>);
    STATIC_REQUIRE(heph::sendable<std::mutex&>);
    STATIC_REQUIRE(heph::sendable<metrics*>);
    STATIC_REQUIRE(heph::sendable<std::shared_ptr<locks>>);
    STATIC_REQUIRE(heph::sendable<std::shared_ptr<const plain>>);
    STATIC_REQUIRE(heph::sendable<std::span<const int>>);
    STATIC_REQUIRE_FALSE(heph::sendable<const window*>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::shared_ptr<const window>>);
}

TEST_CASE("sendable: an iterator is what a pointer to the same is", "[core][sendable]") {
    STATIC_REQUIRE_FALSE(heph::sendable<std::vector<int>::iterator>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::string::iterator>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::vector<bool>::iterator>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::vector<bool>::reference>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::deque<int>::iterator>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::map<int, int>::iterator>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::vector<int>::reverse_iterator>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::move_iterator<std::vector<int>::iterator>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::back_insert_iterator<std::vector<int>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::ranges::subrange<std::vector<int>::iterator>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::ranges::ref_view<std::vector<int>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::pair<int, std::vector<int>::iterator>>);
    STATIC_REQUIRE(heph::sendable<std::vector<int>::const_iterator>);
    STATIC_REQUIRE(heph::sendable<std::set<std::string>::iterator>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::set<window>::iterator>);
    STATIC_REQUIRE(heph::sendable<std::ranges::iterator_t<std::ranges::iota_view<int, int>>>);
}

TEST_CASE("sendable: what is refused may be allowed by a specialisation", "[core][sendable]") {
    STATIC_REQUIRE(heph::sendable<vetted>);
    STATIC_REQUIRE(heph::sendable<std::vector<vetted>>);
    STATIC_REQUIRE(heph::sendable<std::list<int>::iterator>);
}

TEST_CASE("sendable: looks into what holds others", "[core][sendable]") {
    STATIC_REQUIRE(heph::sendable<std::vector<std::map<int, std::string>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::vector<window>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::map<int, int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::tuple<int, std::optional<window>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::variant<int, std::pair<int, window>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::unique_ptr<window>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::array<window, 2>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::expected<void, window>>);
    STATIC_REQUIRE(heph::sendable<std::expected<void, plain>>);
}

TEST_CASE("sendable: who brings messages is what they are", "[core][sendable]") {
    namespace inbox = heph::inbox;
    STATIC_REQUIRE(heph::sendable<heph::actor_ref<std::string>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::actor_ref<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::actor_group<int*>>);
    STATIC_REQUIRE(heph::sendable<heph::rpc<void, int>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::rpc<window, int>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::actor_ref<heph::rpc<void, int*>>>);
    STATIC_REQUIRE(heph::sendable<heph::stream_rpc<void, int>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::stream_rpc<void, window>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::reply_stream<int*>>);
    STATIC_REQUIRE(heph::sendable<inbox::sender<int>>);
    STATIC_REQUIRE_FALSE(heph::sendable<inbox::sender<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<inbox::receiver<window>>);
    STATIC_REQUIRE_FALSE(heph::sendable<inbox::manager<int*>>);
    STATIC_REQUIRE(heph::sendable<inbox::oneshot_sender<std::unique_ptr<int>>>);
    STATIC_REQUIRE_FALSE(heph::sendable<inbox::oneshot_sender<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<inbox::oneshot_receiver<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::unique_lock<std::mutex>>);
}

TEST_CASE("sendable: containers of pointers were taken for values", "[core][sendable]") {
    STATIC_REQUIRE_FALSE(heph::sendable<std::forward_list<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::queue<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::stack<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::priority_queue<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::initializer_list<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::unordered_multiset<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<std::unordered_multimap<int, int*>>);
    STATIC_REQUIRE(heph::sendable<std::forward_list<std::string>>);
    STATIC_REQUIRE(heph::sendable<std::queue<std::string>>);
    STATIC_REQUIRE(heph::sendable<std::stack<int>>);
    STATIC_REQUIRE(heph::sendable<std::priority_queue<int>>);
}

TEST_CASE("sendable: what waits for others is as little as they are", "[core][sendable]") {
    using one = heph::task<>;
    using other = bound_future;
    STATIC_REQUIRE_FALSE(heph::sendable<other>);
    STATIC_REQUIRE(heph::sendable<decltype(heph::either(make<one>(), make<one>()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::either(make<one>(), make<other>()))>);
    STATIC_REQUIRE(heph::sendable<decltype(heph::either(make<std::vector<one>>()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::either(make<std::vector<other>>()))>);
    STATIC_REQUIRE(heph::sendable<decltype(heph::join(make<one>(), make<one>()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::join(make<other>(), make<one>()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::join(make<std::vector<other>>()))>);
    STATIC_REQUIRE(heph::sendable<decltype(heph::with_deadline(make<one>(), make<one>()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::with_deadline(make<other>(), make<one>()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::with_deadline(make<one>(), make<other>()))>);
    STATIC_REQUIRE(heph::sendable<decltype(heph::with_cleanup(make<one>(), make<one>()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::with_cleanup(make<other>(), make<one>()))>);
    STATIC_REQUIRE_FALSE(
        heph::sendable<decltype(heph::select(heph::when(make<other>(), make<void (*)()>())))>);
    STATIC_REQUIRE(heph::sendable<decltype(heph::from_callback<void(int)>(begins()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::from_callback<void(int)>(begins_here()))>);
    STATIC_REQUIRE_FALSE(
        heph::sendable<decltype(heph::from_callback<void(int)>(begins(), cancels_here()))>);
    STATIC_REQUIRE(heph::sendable<decltype(heph::from_foreign(awaited()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::from_foreign(awaited_here()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::from_foreign(awaited(), cancels_here()))>);
    STATIC_REQUIRE(heph::sendable<heph::for_each_future<shared_values, takes>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::for_each_future<own_values, takes>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::for_each_future<shared_values, takes_here>>);
    // Borrowed: it stays where it is.
    STATIC_REQUIRE_FALSE(heph::sendable<decltype(heph::either(make<one&>(), make<one>()))>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::restart_supervisor<int*>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::undelayed_supervisor<says_no>>);
}

TEST_CASE("sendable: a tree is where its children were checked", "[core][sendable]") {
    STATIC_REQUIRE(heph::sendable<heph::supervision_tree<any_threads>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::supervision_tree<one_threads>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::supervision_tree<heph::no_runtime>>);
    STATIC_REQUIRE(heph::sendable<heph::tree_control<any_threads>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::tree_control<one_threads>>);
    STATIC_REQUIRE_FALSE(heph::sendable<heph::tree_control<heph::no_runtime>>);
}

TEST_CASE("shareable: constants, what locks, and what says so", "[core][sendable]") {
    STATIC_REQUIRE(heph::shareable<std::atomic<int>>);
    STATIC_REQUIRE(heph::shareable<metrics>);
    STATIC_REQUIRE(heph::shareable<const plain>);
    STATIC_REQUIRE_FALSE(heph::shareable<plain>);
    STATIC_REQUIRE_FALSE(heph::shareable<const window>);
}

TEST_CASE("make_shared_actor: makes what may run on any thread", "[core][sendable]") {
    std::atomic<int> count = 0;
    auto [running, ref] =
        heph::make_shared_actor(heph::no_supervisor(), heph::actor_fn(counts), heph::no_runtime(),
                                heph::actor_options(), &count);
    REQUIRE(ref.try_send(1));
    CHECK_FALSE(running.poll(heph::waker()).is_ready());
    auto [other, other_ref] = heph::actor_builder().make_shared(
        heph::no_supervisor(), heph::actor_fn(counts), heph::no_runtime(), &count);
    REQUIRE(other_ref.try_send(1));
    CHECK_FALSE(other.poll(heph::waker()).is_ready());
    CHECK(count == 2);
}
