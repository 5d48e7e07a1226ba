#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <malloc.h>

#include <catch2/catch.hpp>
#include <heph/core/detail/frame_pool.hpp>

// Sanitizers have heaps of their own, which `mallinfo2` does not know.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_IS_THE_SANITIZERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEAP_IS_THE_SANITIZERS 1
#endif
#endif

using heph::detail::allocate_frame;
using heph::detail::free_frame;

namespace {

std::vector<std::pair<void*, std::size_t>> make_frames(std::size_t count) {
    std::vector<std::pair<void*, std::size_t>> frames;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t size = 1 + (i * 37) % 3000;
        frames.emplace_back(allocate_frame(size), size);
        std::memset(frames.back().first, static_cast<int>(i & 0xff), size);
    }
    return frames;
}

bool are_intact(const std::vector<std::pair<void*, std::size_t>>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const auto* bytes = static_cast<const unsigned char*>(frames[i].first);
        for (std::size_t at = 0; at < frames[i].second; ++at) {
            if (bytes[at] != (i & 0xff)) { return false; }
        }
    }
    return true;
}

void free_all(const std::vector<std::pair<void*, std::size_t>>& frames) {
    for (const auto& [frame, size] : frames) { free_frame(frame, size); }
}

}  // namespace

TEST_CASE("frame_pool: frames of all sizes are 16-byte aligned and do not overlap",
          "[core][frame_pool]") {
    const auto frames = make_frames(500);
    for (const auto& [frame, size] : frames) {
        REQUIRE(reinterpret_cast<std::uintptr_t>(frame) % 16 == 0);
    }
    CHECK(are_intact(frames));
    free_all(frames);
}

TEST_CASE("frame_pool: frames freed on another thread go home and are used again",
          "[core][frame_pool]") {
    for (int round = 0; round < 20; ++round) {
        const auto frames = make_frames(200);
        CHECK(are_intact(frames));
        std::thread([&] { free_all(frames); }).join();
    }
    const auto frames = make_frames(200);
    CHECK(are_intact(frames));
    free_all(frames);
}

TEST_CASE("frame_pool: frames outlive the thread that made them", "[core][frame_pool]") {
    std::vector<std::pair<void*, std::size_t>> frames;
    std::thread([&] { frames = make_frames(300); }).join();
    CHECK(are_intact(frames));
    free_all(frames);
}

TEST_CASE("frame_pool: a pool's thread may end while others free its frames",
          "[core][frame_pool]") {
    for (int round = 0; round < 50; ++round) {
        std::vector<std::pair<void*, std::size_t>> frames;
        std::thread freeing;
        std::thread making([&] {
            frames = make_frames(100);
            freeing = std::thread([&] { free_all(frames); });
            free_all(make_frames(20));
        });
        making.join();
        freeing.join();
        CHECK(frames.size() == 100);
    }
}

TEST_CASE("frame_pool: frames wander between threads that make and free them at once",
          "[core][frame_pool]") {
    constexpr std::size_t threads = 4;
    constexpr int rounds = 300;
    std::mutex mutex;
    std::vector<std::vector<std::pair<void*, std::size_t>>> made;
    std::atomic<int> broken = 0;
    std::vector<std::jthread> all;
    for (std::size_t who = 0; who < threads; ++who) {
        all.emplace_back([&] {
            for (int round = 0; round < rounds; ++round) {
                auto mine = make_frames(30);
                std::vector<std::pair<void*, std::size_t>> others;
                {
                    const std::lock_guard lock(mutex);
                    made.push_back(std::move(mine));
                    // Not the one just added, as long as there is another one.
                    others = std::move(made.front());
                    made.erase(made.begin());
                }
                if (!are_intact(others)) { ++broken; }
                free_all(others);
            }
        });
    }
    all.clear();
    for (const auto& left : made) { free_all(left); }
    CHECK(broken == 0);
}

#if !defined(HEAP_IS_THE_SANITIZERS)

namespace {

// Tells how much the heap has handed out.
std::size_t heap_bytes() { return ::mallinfo2().uordblks; }

}  // namespace

TEST_CASE("frame_pool: frames freed by another thread serve their owner's next ones",
          "[core][frame_pool]") {
    // One thread makes, another one frees: without a way home, each round would take new memory.
    constexpr std::size_t count = 64;
    constexpr std::size_t size = 1000;
    std::vector<void*> frames(count);
    const auto make = [&] {
        for (void*& frame : frames) { frame = allocate_frame(size); }
    };
    const auto free_elsewhere = [&] {
        std::thread([&] {
            for (void* frame : frames) { free_frame(frame, size); }
        }).join();
    };
    make();
    free_elsewhere();
    const std::size_t before = heap_bytes();
    for (int round = 0; round < 200; ++round) {
        make();
        free_elsewhere();
    }
    // 200 rounds of new frames would be 12 MB.
    CHECK(heap_bytes() < before + std::size_t{256} * 1024);
}

TEST_CASE("frame_pool: what a pool keeps free is bounded", "[core][frame_pool]") {
    constexpr std::size_t size = 1024;
    const std::size_t before = heap_bytes();
    std::vector<void*> frames(8192);  // 8 MB of frames.
    for (void*& frame : frames) { frame = allocate_frame(size); }
    for (void* frame : frames) { free_frame(frame, size); }
    frames = std::vector<void*>();
    // This thread's list, and slabs for blocks of other sizes.
    CHECK(heap_bytes() < before + std::size_t{2560} * 1024);
}

#endif
