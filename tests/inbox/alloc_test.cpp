// Memory runs out: each allocation of a use fails in its turn. Whoever asked learns of it by
// std::bad_alloc, nothing is lost or leaked, and what is there still works.

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>
#include <heph/inbox/detail/block_pool.hpp>
#include <heph/inbox/oneshot.hpp>

#include "inbox/probe.hpp"

namespace {

// Of the calling thread: how many allocations still succeed. Negative: all of them.
thread_local long left = -1;
thread_local long allocated = 0;

// Each block is to be an allocation of its own, before the first one is made.
[[maybe_unused]] const bool no_pool = [] {
    heph::inbox::detail::block_pool::take_from_system();
    return true;
}();

bool out_of_memory() {
    ++allocated;
    if (left < 0) { return false; }
    if (left == 0) { return true; }
    --left;
    return false;
}

void* take(std::size_t bytes) {
    void* memory = out_of_memory() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
    if (memory == nullptr) { throw std::bad_alloc(); }
    return memory;
}
void* take(std::size_t bytes, std::size_t alignment) {
    void* memory =
        out_of_memory()
            ? nullptr
            : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (memory == nullptr) { throw std::bad_alloc(); }
    return memory;
}

}  // namespace

// All of them: a sanitizer brings those that are not replaced, and tells them apart.
void* operator new(std::size_t bytes) { return take(bytes); }
void* operator new[](std::size_t bytes) { return take(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return take(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return take(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return out_of_memory() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return out_of_memory() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

using namespace heph::inbox;
using namespace heph::inbox::test;

namespace {

// Does something with the first, then the second, ... allocation failing, until none fails. Gives
// how many there are. `use` is to pass `std::bad_alloc` on.
template <typename Use>
long fail_each_allocation(Use use) {
    for (long fails = 0;; ++fails) {
        bool failed = false;
        left = fails;
        try {
            use();
        } catch (const std::bad_alloc&) { failed = true; }
        left = -1;
        if (!failed) { return fails; }
    }
}

}  // namespace

TEST_CASE("alloc: a channel is one allocation, and throws when it fails", "[inbox][alloc]") {
    CHECK(fail_each_allocation([] { (void)channel<std::size_t>(8); }) == 1);
    CHECK(fail_each_allocation([] { (void)channel<std::size_t, layout::padded>(1000); }) == 1);
    CHECK(fail_each_allocation([] { (void)managed_channel<std::unique_ptr<int>>(65536); }) == 1);
    CHECK(fail_each_allocation([] { (void)oneshot<std::size_t>(); }) == 1);
}

TEST_CASE("alloc: sends and receives allocate nothing", "[inbox][alloc]") {
    wake_counter woken;
    auto [boss, tx, rx] = managed_channel<std::size_t>(3);
    auto [one_tx, one_rx] = oneshot<std::size_t>();
    std::vector<std::size_t> out;
    out.reserve(8);
    std::size_t ones[4] = {7, 8, 9, 10};
    left = 0;
    const long before = allocated;
    const bool sent = tx.try_send(1).has_value() && tx.try_send_many(ones).value() == 2;
    std::size_t got = 0;
    {
        auto waiting = tx.send(2);
        auto many = tx.send_many(ones);
        auto joining = tx.join();
        (void)waiting.poll(woken.get());
        (void)many.poll(woken.get());
        (void)joining.poll(woken.get());
        got += rx.try_recv().value();
        (void)waiting.poll(woken.get());
    }
    got += rx.try_recv_many(out, 8);
    {
        auto receiving = rx.recv();
        (void)receiving.poll(woken.get());
    }
    auto copy = tx;
    { auto gone = std::move(rx); }
    auto again = boss.new_receiver();
    (void)std::move(one_tx).try_send(1);
    got += one_rx.try_recv().value();
    auto reset = one_rx.try_reset();
    left = -1;
    CHECK(allocated == before);
    CHECK(sent);
    CHECK(got == 1 + 3 + 1);
    CHECK(again.has_value());
    CHECK(reset.has_value());
}

TEST_CASE("alloc: what is received when a vector cannot grow is in it, the rest in the channel",
          "[inbox][alloc]") {
    int alive = 0;
    wake_counter woken;
    auto [tx, rx] = channel<counted>(8);
    const long allocations = fail_each_allocation([&, &from = rx, &to = tx] {
        const long fails = left;
        left = -1;
        std::vector<counted> sent;
        for (int i = 0; i < 8; ++i) { sent.emplace_back(i, alive); }
        if (to.try_send_many(sent).value() != 8) { throw std::logic_error("refused"); }
        auto waiting = to.emplace(8, alive);
        if (waiting.poll(woken.get()).is_ready()) { throw std::logic_error("room"); }
        std::vector<counted> got;
        std::vector<counted> rest;
        rest.reserve(16);
        left = fails;
        bool failed = false;
        try {
            from.try_recv_many(got, 8);
        } catch (const std::bad_alloc&) { failed = true; }
        left = -1;
        const bool told = woken.take();
        if (waiting.poll(woken.get()).is_ready() != !got.empty()) { throw std::logic_error("?"); }
        if (told != !got.empty()) { throw std::logic_error("the waiting sender was not told"); }
        from.try_recv_many(rest, 16);
        int next = 0;
        for (const auto* part : {&got, &rest}) {
            for (const counted& one : *part) {
                if (one.value() != next++) { throw std::logic_error("out of order"); }
            }
        }
        if (next != (got.empty() ? 8 : 9)) { throw std::logic_error("lost"); }
        if (failed) { throw std::bad_alloc(); }
    });
    CHECK(allocations >= 3);
    CHECK(alive == 0);
}

TEST_CASE("alloc: a thread that cannot even wait says so, and the message is not sent",
          "[inbox][alloc]") {
    auto [tx, rx] = channel<std::unique_ptr<int>>(1);
    long needed = -1;
    // The first wait of a thread makes what it sleeps on.
    std::jthread([&needed, &to = tx, &from = rx] {
        needed = fail_each_allocation([&to] {
            auto message = std::unique_ptr<int>(nullptr);
            (void)to.send_blocking(std::move(message));
        });
        left = -1;
        (void)from.try_recv();
    }).join();
    CHECK(needed == 1);
    CHECK(rx.try_recv().error() == recv_error::empty);
    REQUIRE(tx.try_emplace(new int(1)));
    std::jthread([&needed, &from = rx] {
        needed = fail_each_allocation([&from] { (void)from.recv_blocking(); });
    }).join();
    CHECK(needed == 1);
    CHECK(rx.try_recv().error() == recv_error::empty);
}
