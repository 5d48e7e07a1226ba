#include <any>
#include <expected>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>

#include "support/poll_loop.hpp"

using heph::actor_ref;
using heph::send_failure;
using heph::waker;

namespace {

using text_pointer = std::unique_ptr<std::string>;
using several = std::variant<int, text_pointer>;

text_pointer text(const char* of) { return std::make_unique<std::string>(of); }

struct wrapped {
    explicit wrapped(int number) : value(number) {}
    wrapped(wrapped&&) noexcept = default;
    int value;
};

}  // namespace

TEST_CASE("map: converts each message, whatever way it is sent", "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<wrapped>(2);
    const actor_ref<wrapped> ref(std::move(tx));
    const actor_ref<int> mapped = ref.map<int>();
    REQUIRE(mapped.try_send(1));
    auto sending = mapped.send(2);
    REQUIRE(sending.poll(waker()).value());
    CHECK(rx.try_recv()->value == 1);
    CHECK(rx.try_recv()->value == 2);
    CHECK(mapped.sends_to(ref));
    CHECK(mapped.id() == ref.id());
}

TEST_CASE("map: to the same type is the same reference", "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<int>(1);
    const actor_ref<int> ref(std::move(tx));
    CHECK(ref.map<int>() == ref);
    REQUIRE(ref.map<int>().try_send(1));
    CHECK(rx.try_recv() == 1);
}

TEST_CASE("map: trivially copyable messages come back", "[core][map]") {
    auto [tx, made] = heph::inbox::channel<wrapped>(1);
    std::optional rx(std::move(made));
    const actor_ref<int> mapped = actor_ref<wrapped>(std::move(tx)).map<int>();
    REQUIRE(mapped.try_send(1));
    auto full = mapped.try_send(2);
    REQUIRE_FALSE(full);
    CHECK(full.error().reason() == send_failure::full);
    CHECK(full.error().value() == 2);
    auto waiting = mapped.send(3);
    CHECK_FALSE(waiting.poll(waker()).is_ready());
    rx.reset();
    auto gone = waiting.poll(waker());
    REQUIRE(gone.is_ready());
    REQUIRE_FALSE(gone.value());
    CHECK(gone.value().error().reason() == send_failure::disconnected);
    CHECK(gone.value().error().value() == 3);
}

TEST_CASE("map: an alternative comes back from a variant", "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<several>(1);
    const actor_ref<text_pointer> mapped = actor_ref<several>(std::move(tx)).map<text_pointer>();
    REQUIRE(mapped.try_send(text("first")));
    auto full = mapped.try_send(text("second"));
    REQUIRE_FALSE(full);
    REQUIRE(full.error().has_value());
    CHECK(*full.error().value() == "second");
    CHECK(*std::get<text_pointer>(*rx.try_recv()) == "first");
}

TEST_CASE("try_map: takes one alternative, and gives all else back", "[core][map]") {
    auto [tx, made] = heph::inbox::channel<text_pointer>(1);
    std::optional rx(std::move(made));
    const actor_ref<several> mapped = actor_ref<text_pointer>(std::move(tx)).try_map<several>();
    auto refused = mapped.try_send(several(3));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason() == send_failure::refused);
    REQUIRE(refused.error().has_value());
    CHECK(std::get<int>(refused.error().value()) == 3);

    REQUIRE(mapped.try_send(several(text("first"))));
    auto full = mapped.try_send(several(text("second")));
    REQUIRE_FALSE(full);
    CHECK(full.error().reason() == send_failure::full);
    REQUIRE(full.error().has_value());
    CHECK(*std::get<text_pointer>(full.error().value()) == "second");

    auto waiting = mapped.send(several(text("third")));
    CHECK_FALSE(waiting.poll(waker()).is_ready());
    CHECK(**rx->try_recv() == "first");
    CHECK(waiting.poll(waker()).value());
    CHECK(**rx->try_recv() == "third");

    auto refused_later = mapped.send(several(4));
    auto result = refused_later.poll(waker());
    REQUIRE(result.is_ready());
    REQUIRE_FALSE(result.value());
    CHECK(result.value().error().reason() == send_failure::refused);
    CHECK(std::get<int>(result.value().error().value()) == 4);

    rx.reset();
    auto gone = mapped.try_send(several(text("fourth")));
    REQUIRE_FALSE(gone);
    CHECK(gone.error().reason() == send_failure::disconnected);
    CHECK(*std::get<text_pointer>(gone.error().value()) == "fourth");
}

TEST_CASE("map_fn: converts by a function", "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<std::string>(2);
    const actor_ref<std::string> ref(std::move(tx));
    const auto mapped =
        ref.map_fn<int>([prefix = std::string("n")](int n) { return prefix + std::to_string(n); });
    REQUIRE(mapped.try_send(7));
    CHECK(rx.try_recv() == "n7");
    const auto twice = mapped.map_fn<bool>([](bool flag) { return flag ? 1 : 0; });
    REQUIRE(twice.try_send(true));
    CHECK(rx.try_recv() == "n1");
    CHECK(twice.sends_to(ref));
}

TEST_CASE("map_fn: what was lost in the conversion does not come back", "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<int>(1);
    const auto mapped = actor_ref<int>(std::move(tx)).map_fn<std::string>([](std::string text) {
        return static_cast<int>(text.size());
    });
    REQUIRE(mapped.try_send("four"));
    auto full = mapped.try_send("lost");
    REQUIRE_FALSE(full);
    CHECK(full.error().reason() == send_failure::full);
    CHECK_FALSE(full.error().has_value());
    CHECK(rx.try_recv() == 4);
}

TEST_CASE("try_map_fn: converts or refuses", "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<int>(4);
    const actor_ref<int> ref(std::move(tx));
    const auto by_optional = ref.try_map_fn<std::string>([](const std::string& digits) {
        return digits.empty() ? std::optional<int>() : std::optional<int>(std::stoi(digits));
    });
    REQUIRE(by_optional.try_send("12"));
    auto refused = by_optional.try_send("");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason() == send_failure::refused);
    CHECK_FALSE(refused.error().has_value());

    const auto by_expected =
        ref.try_map_fn<text_pointer>([](text_pointer given) -> std::expected<int, text_pointer> {
            if (given->size() > 3) { return std::unexpected(std::move(given)); }
            return static_cast<int>(given->size());
        });
    REQUIRE(by_expected.try_send(text("abc")));
    auto back = by_expected.try_send(text("abcd"));
    REQUIRE_FALSE(back);
    CHECK(back.error().reason() == send_failure::refused);
    REQUIRE(back.error().has_value());
    CHECK(*back.error().value() == "abcd");
    CHECK(rx.try_recv() == 12);
    CHECK(rx.try_recv() == 3);
}

TEST_CASE("map: a mapped reference keeps the actor's inbox connected", "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<wrapped>(1);
    std::optional ref(actor_ref<wrapped>(std::move(tx)));
    std::optional mapped(ref->map<int>());
    ref.reset();
    CHECK(rx.is_connected());
    mapped.reset();
    CHECK_FALSE(rx.is_connected());
}

TEST_CASE("map: calls go through a mapped reference", "[core][map][rpc]") {
    using twice = heph::rpc<int, int>;
    using message = std::variant<std::string, twice>;
    auto [tx, rx] = heph::inbox::channel<message>(1);
    const actor_ref<twice> mapped = actor_ref<message>(std::move(tx)).map<twice>();
    auto calling = mapped.rpc(4);
    CHECK_FALSE(calling.poll(waker()).is_ready());
    auto received = rx.try_recv();
    REQUIRE(received.has_value());
    auto& call = std::get<twice>(*received);
    CHECK(call.respond(call.request() * 2));
    auto answer = calling.poll(waker());
    REQUIRE(answer.is_ready());
    CHECK(answer.value() == 8);
}

namespace {

using small_set = std::variant<int, text_pointer>;
using large_set = std::variant<std::string, text_pointer, int>;

}  // namespace

TEST_CASE("map: a variant's messages go to who takes more, and come back as they were",
          "[core][map]") {
    auto [tx, made] = heph::inbox::channel<large_set>(2);
    std::optional rx(std::move(made));
    const actor_ref<small_set> mapped = actor_ref<large_set>(std::move(tx)).map<small_set>();
    REQUIRE(mapped.try_send(text("first")));
    REQUIRE(mapped.try_send(2));
    auto full = mapped.try_send(text("third"));
    REQUIRE_FALSE(full);
    REQUIRE(full.error().has_value());
    CHECK(*std::get<text_pointer>(full.error().value()) == "third");
    CHECK(*std::get<text_pointer>(*rx->try_recv()) == "first");
    CHECK(std::get<int>(*rx->try_recv()) == 2);
    rx.reset();
    auto sending = mapped.send(4);
    auto gone = sending.poll(waker());
    REQUIRE(gone.is_ready());
    CHECK(std::get<int>(gone.value().error().value()) == 4);
}

TEST_CASE("try_map: a variant's messages go to who takes some of them, the others come back",
          "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<small_set>(1);
    const actor_ref<large_set> mapped = actor_ref<small_set>(std::move(tx)).try_map<large_set>();
    auto refused = mapped.try_send(std::string("no"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason() == send_failure::refused);
    CHECK(std::get<std::string>(refused.error().value()) == "no");
    REQUIRE(mapped.try_send(text("yes")));
    auto full = mapped.try_send(text("again"));
    REQUIRE_FALSE(full);
    CHECK(full.error().reason() == send_failure::full);
    CHECK(*std::get<text_pointer>(full.error().value()) == "again");
    CHECK(*std::get<text_pointer>(*rx.try_recv()) == "yes");
}

TEST_CASE("map_fn: an exception of the function leaves the send, and nothing was sent",
          "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<int>(1);
    const actor_ref<int> ref(std::move(tx));
    const auto mapped = ref.map_fn<int>([](int number) {
        if (number < 0) { throw std::invalid_argument("negative"); }
        return number;
    });
    CHECK_THROWS_WITH(mapped.try_send(-1), "negative");
    CHECK_THROWS_WITH((void)mapped.send(-1), "negative");
    CHECK_FALSE(rx.try_recv().has_value());
    REQUIRE(mapped.try_send(1));
    CHECK(rx.try_recv() == 1);
}

TEST_CASE("map: a waiting send through several mappings can be moved, dropped and finished",
          "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<std::string>(1);
    const actor_ref<std::string> ref(std::move(tx));
    const auto once = ref.map_fn<int>([](int number) { return std::to_string(number); });
    const auto twice =
        once.map_fn<text_pointer>([](const text_pointer& digits) { return std::stoi(*digits); });
    REQUIRE(twice.try_send(text("1")));
    {
        auto dropped = twice.send(text("2"));
        CHECK_FALSE(dropped.poll(waker()).is_ready());
    }
    auto made = twice.send(text("3"));
    auto sending = std::move(made);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    CHECK(rx.try_recv() == "1");
    CHECK(sending.poll(waker()).value().has_value());
    CHECK(rx.try_recv() == "3");
}

TEST_CASE("map: a send that a task awaits waits for room, and gives its message back",
          "[core][map]") {
    auto [tx, rx] = heph::inbox::channel<std::string>(1);
    const auto digits = actor_ref<std::string>(std::move(tx)).map_fn<int>([](int number) {
        return std::to_string(number);
    });
    const auto sends = [](actor_ref<int> to, int number, std::vector<bool>* sent) -> heph::task<> {
        auto result = co_await to.send(number);
        sent->push_back(result.has_value());
        if (!result) { sent->push_back(result.error().value() == number); }
    };
    std::vector<bool> sent;
    heph::test::poll_loop loop;
    for (int i = 0; i < 3; ++i) { loop.spawn(sends(digits, i, &sent)); }
    loop.run();
    CHECK(sent == std::vector{true});
    CHECK(rx.try_recv() == "0");
    loop.run();
    CHECK(sent == std::vector{true, true});
    { auto gone = std::move(rx); }
    loop.run();
    CHECK(sent == std::vector{true, true, false, true});
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("map: a send that throws when it is polled throws where a task awaits it",
          "[core][map]") {
    struct throwing_target final : heph::detail::ref_target<int> {
        struct throwing {
            using value_type = heph::detail::send_result<int>;
            heph::polled<value_type> poll(const waker&) { throw std::runtime_error("polled"); }
        };
        heph::detail::send_result<int> try_send(int&&) const override { return {}; }
        heph::detail::any_future<heph::detail::send_result<int>> send(int&&) const override {
            return heph::detail::any_future<heph::detail::send_result<int>>(throwing());
        }
        heph::detail::any_future<void> join() const override {
            return heph::detail::any_future<void>(heph::detail::never_future<void>());
        }
        bool is_connected() const noexcept override { return true; }
        heph::inbox::channel_id id() const noexcept override {
            return heph::inbox::channel_id(this);
        }
        std::optional<heph::inbox::observer> observe() const noexcept override {
            return std::nullopt;
        }
    };
    const auto sends = [](actor_ref<int> to) -> heph::task<std::string> {
        std::string what;
        try {
            auto result = co_await to.send(1);
            what = result ? "sent" : "not sent";
        } catch (const std::runtime_error& error) { what = error.what(); }
        co_return what;
    };
    auto running =
        sends(heph::detail::ref_access::to_target<int>(std::make_shared<const throwing_target>()));
    CHECK(running.poll(waker()).value() == "polled");
}

TEST_CASE("map: a send that is too large to keep in place is kept elsewhere", "[core][map]") {
    struct large {
        explicit large(int first) : numbers{first} {}
        int numbers[100];
    };
    auto [tx, rx] = heph::inbox::channel<large>(1);
    const auto mapped =
        actor_ref<large>(std::move(tx)).map_fn<int>([](int number) { return large(number); });
    REQUIRE(mapped.try_send(1));
    auto made = mapped.send(2);
    auto sending = std::move(made);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    CHECK(rx.try_recv()->numbers[0] == 1);
    CHECK(sending.poll(waker()).value().has_value());
    CHECK(rx.try_recv()->numbers[0] == 2);
}

namespace {

// Trivially copyable, as its copy is deleted and its move is trivial.
struct ticket {
    explicit ticket(int of) : number(of) {}
    ticket(ticket&&) = default;
    ticket& operator=(ticket&&) = default;
    int number;
};
static_assert(std::is_trivially_copyable_v<ticket> && !std::is_copy_constructible_v<ticket>);

}  // namespace

TEST_CASE("map: takes messages that are trivially copyable and can only be moved",
          "[map][regression]") {
    auto [tx, rx] = heph::inbox::channel<int>(1);
    const actor_ref<int> ref(tx);
    auto tickets = ref.map_fn<ticket>([](ticket&& its) { return its.number; });
    REQUIRE(tickets.try_send(ticket(3)));
    CHECK(rx.try_recv() == 3);
    CHECK(tickets.try_send(ticket(4)).has_value());
    CHECK(tickets.try_send(ticket(5)).error().reason() == send_failure::full);
}

TEST_CASE("map: a variant's alternative stays the one it is when another one can hold anything",
          "[map][regression]") {
    using wide = std::variant<int, std::string, std::any>;
    using narrow = std::variant<int, std::string>;
    auto [tx, rx] = heph::inbox::channel<wide>(2);
    const actor_ref<wide> ref(tx);
    const actor_ref<narrow> mapped = ref;
    REQUIRE(mapped.try_send(narrow(5)));
    CHECK(std::get<int>(*rx.recv_blocking()) == 5);
}

TEST_CASE("map: takes no number for the size of a container, and no pointer for a smart one",
          "[map][regression]") {
    const auto maps = []<typename From, typename To>() {
        return requires(const actor_ref<To>& ref) { ref.template map<From>(); };
    };
    CHECK_FALSE(maps.operator()<int, std::vector<int>>());
    CHECK_FALSE(maps.operator()<std::size_t, std::vector<std::string>>());
    CHECK_FALSE(maps.operator()<int*, std::unique_ptr<int>>());
    CHECK_FALSE(maps.operator()<int*, std::shared_ptr<int>>());
    CHECK(maps.operator()<const char*, std::string>());
    CHECK(maps.operator()<std::unique_ptr<int>, std::shared_ptr<int>>());
    CHECK(maps.operator()<int, wrapped>());
    CHECK(maps.operator()<std::vector<int>, std::vector<int>>());
}
