#pragma once

// One kind of operation: what it takes from its owner and how it is carried out.

#include <cstdint>
#include <expected>
#include <memory>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/detail/operation.hpp>

struct io_uring_sqe;

namespace heph::rt::detail {

/// An operation as an object that owns all that the kernel, or a thread, may read or write until
/// the last completion: it lives in the slot from the start to then. Each kind is a class.
///
///     made --first poll--> in a slot, under way --last completion--> again() says
///         no:  back with its owner, who takes the results out of it
///         yes: under way once more, for what is left
///     dropped while under way: cancelled, destroyed by the last completion
///
/// *Thread safety*: used by the worker's thread; `perform` also by another one, see `waits`.
class io_call {
public:
    /// How a driver without a ring carries it out: by `perform`, which ...
    enum class waits : std::uint8_t {
        to_read,             // does not block, and gives -EAGAIN until there is something to read,
        to_write,            // or until there is room to write.
        to_retry,            // The same, of what nothing tells when it goes on: it is tried again.
        on_thread,           // May block.
        to_read_on_thread,   // may block for as long as there is nothing to read. It is called when
        to_write_on_thread,  // there is, or at once where that cannot be told, as of files.
    };

    virtual ~io_call();
    io_call(const io_call&) = delete;
    io_call& operator=(const io_call&) = delete;

    /// Carries it out. Gives a result as the kernel does: a negative errno when it fails.
    [[nodiscard]] virtual std::int32_t perform() noexcept = 0;
    /// Writes it as a submission to a ring. *Requires*: `on_ring`.
    virtual void submit(io_uring_sqe& entry) noexcept;
    /// Takes one of the completions of a call that may have many, with its flags. Tells whether to
    /// pause for now.
    [[nodiscard]] virtual bool note_completion(std::int32_t result, std::uint32_t flags) noexcept;
    /// Notes that it was cancelled before it began, when it may be about to be destroyed.
    virtual void note_cancelled() noexcept {}
    /// Looks at a result, may replace it, and tells whether to go on with what is left.
    [[nodiscard]] virtual bool again(std::int32_t& result) noexcept;

    /// Leaves it the descriptor that it was made of.
    void own(descriptor_handle owned) noexcept { own_ = std::move(owned); }

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] waits how() const noexcept { return how_; }
    [[nodiscard]] bool on_ring() const noexcept { return on_ring_; }
    [[nodiscard]] bool reads() const noexcept {
        return how_ == waits::to_read || how_ == waits::to_read_on_thread;
    }
    [[nodiscard]] bool polls() const noexcept { return how_ != waits::on_thread; }

protected:
    /// `descriptor` is what it waits for, or what has to stay open meanwhile; -1 for none.
    io_call(int descriptor, waits how, bool on_ring) noexcept
        : descriptor_(descriptor), how_(how), on_ring_(on_ring) {}

    void set(int descriptor, waits how, bool on_ring) noexcept {
        descriptor_ = descriptor;
        how_ = how;
        on_ring_ = on_ring;
    }

private:
    int descriptor_;
    waits how_;
    bool on_ring_;
    descriptor_handle own_;
};

/// Runs a call to its end. What `io_future` is made of.
class running_call {
public:
    using outcome = std::expected<std::int32_t, std::error_code>;

    explicit running_call(std::unique_ptr<io_call> call) noexcept : call_(std::move(call)) {}
    /// Makes one that fails at its first poll.
    explicit running_call(std::error_code failed) noexcept : failed_(failed) {}

    [[nodiscard]] polled<outcome> poll(const waker& waker);

    /// Gives the call back. *Requires*: `poll` gave a result.
    [[nodiscard]] io_call& call() noexcept { return *call_; }

private:
    std::unique_ptr<io_call> call_;  // Before the first poll, and after the last.
    std::error_code failed_;
    operation operation_;
};

}  // namespace heph::rt::detail
