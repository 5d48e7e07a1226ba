#pragma once

// What the tests of heph-core watch with.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/log.hpp>
#include <heph/inbox/future.hpp>

namespace heph::test {

/// Counts its living objects, and refuses to be destroyed twice.
class probe {
public:
    explicit probe(int& live) noexcept : live_(&live) { ++*live_; }
    probe(const probe& other) noexcept : live_(other.live_) { ++*live_; }
    probe& operator=(const probe&) = delete;
    ~probe() { --*std::exchange(live_, nullptr); }

private:
    int* live_;
};

/// A future that is ready when the test says so.
class gate {
public:
    class opened {
    public:
        using value_type = int;
        explicit opened(gate& watched) noexcept : gate_(&watched) { ++gate_->waiting; }
        opened(opened&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
        opened& operator=(opened&&) = delete;
        ~opened() {
            if (gate_ != nullptr) { --gate_->waiting; }
        }
        polled<int> poll(const waker& waker) noexcept {
            ++gate_->polls;
            if (gate_->open_) { return gate_->value_; }
            gate_->waker_ = waker;
            return pending;
        }

    private:
        gate* gate_;
    };

    [[nodiscard]] opened wait() noexcept { return opened(*this); }
    void open(int value = 0) {
        open_ = true;
        value_ = value;
        waker_.wake();
    }

    int waiting = 0;
    int polls = 0;

private:
    bool open_ = false;
    int value_ = 0;
    waker waker_;
};

/// Collects the log for as long as it lives.
class captured_log {
public:
    captured_log() : previous_(set_log_handler(&take)) { lines().clear(); }
    captured_log(const captured_log&) = delete;
    captured_log& operator=(const captured_log&) = delete;
    ~captured_log() { set_log_handler(previous_); }

    [[nodiscard]] static std::vector<std::pair<log_level, std::string>>& lines() {
        static std::vector<std::pair<log_level, std::string>> all;
        return all;
    }

private:
    static void take(log_level level, std::string_view line) noexcept {
        lines().emplace_back(level, line);
    }
    log_handler previous_;
};

}  // namespace heph::test
