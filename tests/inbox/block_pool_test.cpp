#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/detail/block_pool.hpp>
#include <heph/inbox/oneshot.hpp>

using heph::inbox::detail::block_pool;

namespace {

constexpr std::size_t sizes[] = {1, 64, 65, 128, 192, 193, 256, 16, 96, 1000, 2048};

std::vector<std::pair<void*, std::size_t>> take(std::size_t count) {
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t size = sizes[i % std::size(sizes)];
        blocks.emplace_back(block_pool::allocate(size), size);
        std::memset(blocks.back().first, static_cast<int>(i & 0xff), size);
    }
    return blocks;
}

bool are_intact(const std::vector<std::pair<void*, std::size_t>>& blocks) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const auto* bytes = static_cast<const unsigned char*>(blocks[i].first);
        for (std::size_t at = 0; at < blocks[i].second; ++at) {
            if (bytes[at] != (i & 0xff)) { return false; }
        }
    }
    return true;
}

void give_back(const std::vector<std::pair<void*, std::size_t>>& blocks) {
    for (const auto& [block, size] : blocks) { block_pool::deallocate(block, size); }
}

}  // namespace

TEST_CASE("block_pool: blocks are aligned by their size and do not overlap, also used again",
          "[inbox][block_pool]") {
    for (int round = 0; round < 3; ++round) {
        const auto blocks = take(9000);  // More than a list takes.
        std::size_t misaligned = 0;
        for (const auto& [block, size] : blocks) {
            const std::size_t alignment = size % 64 == 0 ? 64 : size % 32 == 0 ? 32 : 16;
            if (reinterpret_cast<std::uintptr_t>(block) % alignment != 0) { ++misaligned; }
        }
        CHECK(misaligned == 0);
        CHECK(are_intact(blocks));
        give_back(blocks);
    }
}

TEST_CASE("block_pool: a block may be freed on another thread, and outlive the one that made it",
          "[inbox][block_pool]") {
    std::vector<std::pair<void*, std::size_t>> blocks;
    std::thread([&blocks] {
        give_back(take(500));
        blocks = take(500);
    }).join();
    CHECK(are_intact(blocks));
    std::thread([&blocks] { give_back(blocks); }).join();
}

TEST_CASE("block_pool: channels that a thread's own objects hold are freed while it ends",
          "[inbox][block_pool]") {
    std::thread([] {
        // Made before the thread frees its first block: so it is destroyed after the lists.
        thread_local std::vector<heph::inbox::receiver<int>> kept;
        kept.reserve(20);
        for (int i = 0; i < 20; ++i) {
            auto [tx, rx] = heph::inbox::channel<int>(8);
            kept.push_back(std::move(rx));
            auto [answer, question] = heph::inbox::oneshot<int>();
        }
        CHECK(kept.size() == 20);
    }).join();
}
