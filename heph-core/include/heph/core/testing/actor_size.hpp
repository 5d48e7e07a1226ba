#pragma once

// How much memory an actor takes.

#include <bit>
#include <cstddef>
#include <string>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/detail/frame_pool.hpp>
#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/layout.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::testing {

/// Tells how much memory an actor takes that waits for its first message, in bytes.
class actor_size {
public:
    actor_size(std::size_t frames, std::size_t inbox, std::size_t process) noexcept
        : frames_(frames), inbox_(inbox), process_(process) {}

    /// Its coroutine, and those it awaits meanwhile, each rounded up to 16 bytes.
    [[nodiscard]] std::size_t frames() const noexcept { return frames_; }
    /// The channel: its state and room for all of its messages, empty.
    [[nodiscard]] std::size_t inbox() const noexcept { return inbox_; }
    /// The `actor_future`: supervisor, runtime access, and the rest. An executor adds its own.
    [[nodiscard]] std::size_t process() const noexcept { return process_; }

    [[nodiscard]] std::size_t total() const noexcept { return frames_ + inbox_ + process_; }

    /// Says all of it in words.
    [[nodiscard]] std::string text() const {
        return std::to_string(total()) + " bytes: " + std::to_string(frames_) + " of frames, " +
               std::to_string(inbox_) + " of the inbox, " + std::to_string(process_) +
               " of the process";
    }

private:
    std::size_t frames_;
    std::size_t inbox_;
    std::size_t process_;
};

/// Makes an actor as `make_actor` does, runs it until it waits for the first time, and tells what
/// it takes.
///
///     const auto size = heph::testing::measure_actor(
///         heph::stop_supervisor(), heph::actor_fn(counter), heph::no_runtime(), {});
///     CHECK(size.total() <= 424);
///
/// What the actor allocates itself (a string in a local variable, its name) is not in there. The
/// blocks of 2 KiB and less have no headers, so that nothing comes on top but a hundredth or two of
/// each slab of 32 KiB that they are cut from.
/// *Requires*: the actor can run here: one that needs its runtime at once has to get a real one.
template <typename Supervisor, typename NewActor, typename RT, typename... Args>
[[nodiscard]] actor_size measure_actor(Supervisor supervisor, NewActor new_actor, RT runtime,
                                       actor_options options, Args... args) {
    using message_type = typename NewActor::message_type;
    const std::size_t slots = std::bit_ceil(options.inbox_size);
    const std::size_t before = heph::detail::frame_bytes_in_use();
    auto [running, ref] = make_actor(std::move(supervisor), std::move(new_actor),
                                     std::move(runtime), std::move(options), std::move(args)...);
    (void)running.poll(waker());
    return {heph::detail::frame_bytes_in_use() - before,
            inbox::detail::channel_state<message_type, inbox::layout::compact>::bytes(slots),
            sizeof(running)};
}

}  // namespace heph::testing
