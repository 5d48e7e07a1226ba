#pragma once

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
            ++process_->pins;
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
            --process_->pins;
            drop_reference(*process_);
        }
    }

private:
    process_header* process_ = nullptr;
};

}  // namespace heph::rt::detail
