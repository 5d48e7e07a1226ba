#pragma once

// A request to the kernel, as the futures of the public headers hold it.

#include <cstdint>
#include <utility>

#include <heph/inbox/waker.hpp>

namespace heph::rt::detail {

struct slot;

/// Owns a slot of a driver: an operation in flight, or its result.
///
/// The kernel's side of it, and every buffer, stay in the slot until the last completion; what is
/// dropped earlier is cancelled and left to the slot. `src/slot.hpp` has the states.
///
/// *Thread safety*: used on the worker that started it; destroying it elsewhere is safe too, it
/// then tells that worker.
class operation {
public:
    operation() noexcept = default;
    explicit operation(slot* started) noexcept : slot_(started) {}
    operation(operation&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    operation& operator=(operation&& other) noexcept {
        operation old(std::move(*this));
        slot_ = std::exchange(other.slot_, nullptr);
        return *this;
    }
    ~operation() {
        if (slot_ != nullptr) { abandon(); }
    }

    [[nodiscard]] bool started() const noexcept { return slot_ != nullptr; }
    [[nodiscard]] slot& state() const noexcept { return *slot_; }

    /// Gives the slot back, without cancelling anything. *Requires*: its operation is completed.
    void finish() noexcept;

    /// Drops the operation and has the descriptor that it uses closed after it, by the worker it
    /// belongs to: no other may get the same descriptor while that worker still works on it.
    /// *Requires*: started.
    void drop_and_close(int descriptor) noexcept;

private:
    void abandon() noexcept;

    slot* slot_ = nullptr;
};

}  // namespace heph::rt::detail
