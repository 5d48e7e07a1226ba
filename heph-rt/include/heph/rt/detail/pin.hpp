#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <heph/rt/detail/process.hpp>

namespace heph::rt::detail {

/// Holds the process that is being polled to its worker, while something that belongs to that
/// worker refers to the process or is referred to by it.
///
/// *Thread safety*: made, moved and destroyed on that worker's thread, or after the worker ended.
class pin {
public:
    pin() noexcept = default;
    explicit pin(process_header* process) noexcept : process_(process) {
        if (process_ != nullptr) {
            add_reference(*process_);
            if (process_->shared) { change_pins(+1); }
        }
    }
    pin(pin&& other) noexcept : process_(std::exchange(other.process_, nullptr)) {}
    pin& operator=(pin&& other) noexcept {
        pin old(std::move(*this));
        process_ = std::exchange(other.process_, nullptr);
        return *this;
    }
    ~pin() {
        if (process_ != nullptr) {
            if (process_->shared) { change_pins(-1); }
            drop_reference(*process_);
        }
    }

private:
    // Only one thread writes: no read-modify-write is needed.
    void change_pins(int by) noexcept {
        const std::uint32_t before = process_->pins.load(std::memory_order_relaxed);
        process_->pins.store(before + static_cast<std::uint32_t>(by), std::memory_order_release);
    }

    process_header* process_ = nullptr;
};

}  // namespace heph::rt::detail
