#pragma once

// Children for tests of supervision trees.

#include <atomic>
#include <cstddef>
#include <expected>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/context.hpp>
#include <heph/core/task.hpp>

namespace heph::test {

/// Notes what happens, in order. Others may look how many lines there are.
class journal : public std::vector<std::string> {
public:
    /// The children of one tree have it in turns, whichever thread runs the tree.
    static constexpr bool is_shareable = true;

    journal() = default;
    journal(std::initializer_list<std::string> lines) : vector(lines), lines_(size()) {}
    journal(journal&& other) noexcept
        : vector(std::move(other)), lines_(other.lines_.exchange(0)) {}
    journal& operator=(journal&& other) noexcept {
        vector::operator=(std::move(other));
        lines_.store(other.lines_.exchange(0));
        return *this;
    }
    void push_back(std::string line) {
        vector::push_back(std::move(line));
        lines_.fetch_add(1, std::memory_order_release);
    }
    [[nodiscard]] std::size_t lines() const noexcept {
        return lines_.load(std::memory_order_acquire);
    }

private:
    std::atomic<std::size_t> lines_{0};
};

/// Notes when it begins, and when it goes.
class noted {
public:
    noted(journal& into, std::string name) : into_(&into), name_(std::move(name)) {
        into_->push_back("+" + name_);
    }
    noted(const noted&) = delete;
    noted& operator=(const noted&) = delete;
    ~noted() { into_->push_back("-" + name_); }

private:
    journal* into_;
    std::string name_;
};

enum class order : unsigned char { work, finish, fail, blow_up, stop };

using outcome = std::expected<void, std::string>;

/// Does what it is ordered to, and notes work, and when it is asked to stop.
template <typename RT>
task<outcome> worker(context<order, RT> ctx, journal* into, std::string name) {
    const noted life(*into, name);
    while (auto message = co_await ctx.receive()) {
        switch (*message) {
            case order::work: into->push_back(name); break;
            case order::finish: co_return outcome();
            case order::fail: co_return std::unexpected(name + " broke");
            case order::blow_up: throw std::range_error(name + " blew up");
            case order::stop: into->push_back("stop " + name); co_return outcome();
        }
    }
    co_return outcome();
}

/// Never stops when it is asked to.
template <typename RT>
task<outcome> stubborn(context<order, RT> ctx, journal* into, std::string name) {
    const noted life(*into, name);
    while (auto message = co_await ctx.receive()) { into->push_back("no, " + name); }
    co_return outcome();
}

}  // namespace heph::test
