#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/detail/frame_pool.hpp>

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
