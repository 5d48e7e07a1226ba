#pragma once

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/rt/driver_kind.hpp>

#include "blocking_jobs.hpp"
#include "buffer_pool.hpp"
#include "direct_table.hpp"
#include "pool_state.hpp"
#include "slot_list.hpp"
#include "slot_pool.hpp"

namespace heph::rt::detail {

class driver;
struct driver_settings;

/// What a driver says of itself that reaches no kernel: none of the kinds that can be asked for.
inline constexpr driver_kind no_kernel{0xff};

/// Makes drivers that reach something else than the kernel: a simulation's.
class driver_source {
public:
    [[nodiscard]] virtual std::unique_ptr<driver> make_driver(worker_link& link,
                                                              const driver_settings& settings) = 0;

protected:
    ~driver_source() = default;
};

struct driver_settings {
    driver_kind kind;
    std::size_t ring_entries;
    std::size_t receive_buffers;
    std::size_t receive_buffer_bytes;
    std::size_t direct_descriptors = 0;
    driver_source* source = nullptr;  // In the place of the kernel's drivers, if there is one.
};

/// Carries out a worker's operations: turns requests into slot states and wakes. No user code runs
/// below it, except the wakers' `wake`.
///
/// A request is put into a slot in flight, and the slot handed over; its fields hold what the
/// kernel may read or write until the last completion. What a driver does differently from another
/// is behind few virtual functions: one call for a request and one for a turn of the worker.
///
/// *Thread safety*: used by the worker's thread only.
class driver {
public:
    virtual ~driver();
    driver(const driver&) = delete;
    driver& operator=(const driver&) = delete;

    /// Tells which one it is: never `automatic`; `no_kernel` for a simulated one.
    [[nodiscard]] virtual driver_kind kind() const noexcept = 0;

    [[nodiscard]] slot_pool& slots() noexcept { return *slots_; }

    // Whether a slot or a pool is this driver's. Those of a driver that is gone may be asked about,
    // too: for as long as something refers to a pool, no other has its address.
    [[nodiscard]] bool owns(const slot& asked) const noexcept { return asked.pool == slots_.get(); }
    [[nodiscard]] bool owns(const buffer_pool& asked) const noexcept {
        return &asked == buffers_.get();
    }

    /// Gives the provided buffers, made at the first call. Null when that fails.
    [[nodiscard]] buffer_pool* buffers() noexcept;
    /// Makes a pool of the program's this driver's, until nobody else refers to it.
    /// *Errors*: those of registering it with the ring; throws `std::bad_alloc`.
    [[nodiscard]] std::error_code adopt(std::shared_ptr<pool_state> pool);
    /// Tells whether `receive_many` works.
    [[nodiscard]] virtual bool receives_many() noexcept { return buffers() != nullptr; }
    /// Gives what a socket is to be made with, besides its type.
    [[nodiscard]] virtual int socket_flags() const noexcept { return 0; }

    // Requests, each for a slot in flight. It may be completed on return.
    void receive_once(slot& operation, int descriptor) noexcept {
        begin(operation, {.code = request_code::receive, .descriptor = descriptor});
    }
    void receive_many(slot& operation, int descriptor) noexcept {
        begin(operation, {.code = request_code::receive_many, .descriptor = descriptor});
    }
    void send(slot& operation, int descriptor, std::size_t from) noexcept {
        begin(operation, {.code = request_code::send, .descriptor = descriptor, .from = from});
    }
    void accept_many(slot& operation, int descriptor) noexcept {
        const bool was_full = std::exchange(operation.starved, false);
        const bool direct = operation.accepts_direct && !was_full && direct_ != nullptr &&
                            direct_->has_room_to_accept();
        begin(
            operation,
            {.code = request_code::accept_many, .descriptor = descriptor, .flags = direct ? 1 : 0});
    }
    /// Accepts one of those that wait already; ends with `EAGAIN` or `ECANCELED` when none does.
    void accept_one(slot& operation, int descriptor) noexcept {
        begin(operation, {.code = request_code::accept_one, .descriptor = descriptor});
    }
    /// Has a multishot operation end soon, with what came until then. It may be armed again.
    virtual void pause(slot& operation) noexcept = 0;
    void connect(slot& operation, int descriptor, unsigned address_bytes) noexcept {
        begin(operation, {.code = request_code::connect,
                          .descriptor = descriptor,
                          .flags = static_cast<int>(address_bytes)});
    }
    void open(slot& operation, int flags, unsigned mode) noexcept {
        begin(operation, {.code = request_code::open, .flags = flags, .mode = mode});
    }
    void read(slot& operation, int descriptor, std::uint64_t offset) noexcept {
        begin(operation, {.code = request_code::read, .descriptor = descriptor, .offset = offset});
    }
    void write(slot& operation, int descriptor, std::size_t from, std::uint64_t offset) noexcept {
        begin(operation, {.code = request_code::write,
                          .descriptor = descriptor,
                          .from = from,
                          .offset = offset});
    }
    void sync(slot& operation, int descriptor, bool data_only) noexcept {
        begin(operation,
              {.code = request_code::sync, .descriptor = descriptor, .flags = data_only ? 1 : 0});
    }
    void call(slot& operation) noexcept { begin_call(operation, request_code::call); }
    /// Waits until the descriptor of a call is ready for it.
    void await_readiness(slot& operation) noexcept { begin_call(operation, request_code::await); }

    /// Drops a slot: discards its result, or cancels it and leaves it to the last completion. Then
    /// closes what its owner left to be closed.
    void abandon(slot& dropped) noexcept;
    /// Closes a socket or the like, which this worker used last.
    void close_descriptor(int descriptor) noexcept {
        if (is_direct(descriptor)) [[unlikely]] {
            close_direct(descriptor);
        } else {
            close_ordinary(descriptor);
        }
    }
    /// Closes a file, which may take its time.
    void close_file(int descriptor) noexcept {
        if (is_direct(descriptor)) [[unlikely]] {
            close_direct(descriptor);
        } else {
            close_ordinary_file(descriptor);
        }
    }

    /// Tells whether a direct descriptor is this driver's.
    [[nodiscard]] bool owns_direct(int number) const noexcept {
        return direct_ != nullptr && direct_->owns(number);
    }
    /// Makes a descriptor for what a direct one stands for. Gives a negative errno when it fails.
    /// *Requires*: `owns_direct`.
    [[nodiscard]] int to_ordinary(int number) noexcept {
        return install(direct_table::slot_of(number));
    }
    /// Puts what a descriptor stands for into the table. Gives its number, or a negative errno:
    /// ENFILE without a table, or room.
    [[nodiscard]] int to_direct(int descriptor) noexcept;

    /// Tells whether other threads dropped anything of this worker's.
    [[nodiscard]] bool any_dropped() const noexcept {
        return slots_->any_dropped() || (direct_ != nullptr && direct_->any_dropped());
    }
    /// Does what is to be done about that.
    void take_dropped() noexcept;

    /// Starts what was asked for and takes completions without waiting. What it costs when there
    /// is nothing to do is no system call, or few of them.
    virtual void turn() noexcept = 0;
    /// Starts what was asked for and waits for a completion, at most for `timeout`.
    virtual void wait(std::optional<std::chrono::milliseconds> timeout) noexcept = 0;

    /// Tells, without a system call, whether `turn` would find a completion. It may be wrong.
    [[nodiscard]] virtual bool anything_completed() const noexcept { return false; }

    /// Gives the descriptor by which other workers' drivers may rouse this one from its wait, or
    /// -1.
    [[nodiscard]] virtual int ring_descriptor() const noexcept { return -1; }
    /// Rouses another worker's driver, now. Falls back to its event descriptor when that fails.
    /// Gives whether it can at all.
    virtual bool rouse(int /*ring_descriptor*/, int /*event_descriptor*/) noexcept { return false; }

    /// Cancels what is left and waits for the last completions, at most for `patience`.
    /// Gives how many did not come.
    virtual std::size_t drain(std::chrono::milliseconds patience) noexcept = 0;

protected:
    driver(worker_link& link, const driver_settings& settings);

    /// Starts the request of a slot that was counted as armed.
    virtual void start(slot& operation) noexcept = 0;
    /// Ends a slot's operation; the last completion comes during the call, or later.
    virtual void cancel(slot& operation) noexcept = 0;
    /// Closes an ordinary descriptor: see `close_descriptor`, `close_file`.
    virtual void close_ordinary(int descriptor) noexcept = 0;
    virtual void close_ordinary_file(int descriptor) noexcept { close_ordinary(descriptor); }
    // The table's part of the kernel: another descriptor for what a slot has; a file into a slot of
    // the kernel's choice, which it gives; closing a slot. Each may give a negative errno.
    [[nodiscard]] virtual int install(unsigned /*slot*/) noexcept { return -EBADF; }
    [[nodiscard]] virtual int take_in(int /*descriptor*/) noexcept { return -ENFILE; }
    virtual void close_slot(unsigned /*slot*/) noexcept {}
    /// Makes provided buffers. Null when that fails.
    [[nodiscard]] virtual std::unique_ptr<buffer_pool> make_buffers() = 0;

    /// Has the kernel take buffers from a pool of the program's. Gives a positive errno, or 0.
    [[nodiscard]] virtual int give_to_kernel(pool_state& /*pool*/, std::uint16_t /*group*/) {
        return 0;
    }
    /// Ends that, before the pool goes.
    virtual void take_from_kernel(pool_state& /*pool*/) noexcept {}
    /// Lets go of the program's pools that nobody else refers to.
    void drop_unused_pools() noexcept {
        if (!pools_.empty()) [[unlikely]] { look_for_unused_pools(); }
    }

    /// Forgets what a descriptor is watched for, before its slot is released.
    virtual void unwatch(slot& /*operation*/) noexcept {}

    // Requests that block, on threads made for them.
    void start_blocking(slot& operation) noexcept;
    void close_in_background(slot& taken, int descriptor) noexcept;
    [[nodiscard]] bool any_job_finished() const noexcept {
        return jobs_ != nullptr && jobs_->any_finished();
    }
    void take_finished_jobs() noexcept {
        if (jobs_ != nullptr) { complete_jobs(); }
    }

    // Completions, in this order: `retire` if it is the last one; what came; `settle`.
    void retire(slot& operation) noexcept;
    static void note_accepted(slot& operation, std::int32_t result) noexcept;
    static void note_received(slot& operation, std::int32_t result) noexcept;
    void settle(slot& operation, bool last) noexcept;
    /// All of it, for an operation with one completion.
    void complete(slot& operation, std::int32_t result) noexcept;
    /// … and for one that may be in a list of those that wait.
    void finish(slot& operation, std::int32_t result) noexcept {
        if (operation.list != nullptr) { operation.list->remove(operation); }
        complete(operation, result);
    }
    /// The last completion of a multishot operation, which can be armed again. Gives true.
    bool end_multishot(slot& operation) noexcept;

    /// Gives up the slots and buffers that are left, which the kernel may not write to any more
    /// when no operation is in flight. For the destructors of drivers.
    void give_up_slots() noexcept;

    // So many untaken chunks of one stream pause its receive.
    static constexpr std::uint32_t chunks_max = 16;
    // So many untaken connections pause an accept; the others wait in the listener's backlog.
    static constexpr std::size_t accepted_max = 64;

    worker_link* link_;
    driver_settings settings_;
    std::unique_ptr<slot_pool> slots_;
    std::unique_ptr<buffer_pool> buffers_;
    std::unique_ptr<blocking_jobs> jobs_;  // Made at the first use.
    std::unique_ptr<direct_table> direct_;

private:
    void begin(slot& operation, const request& asked) noexcept;
    void begin_call(slot& operation, request_code code) noexcept {
        begin(operation, {.code = code, .descriptor = operation.call->descriptor()});
    }
    [[nodiscard]] bool begin_direct(slot& operation) noexcept;
    void close_direct(int number) noexcept;
    void discard_result(slot& operation) noexcept;
    void complete_jobs() noexcept;
    void look_for_unused_pools() noexcept;

    std::vector<std::shared_ptr<pool_state>> pools_;
    bool no_buffers_ = false;
};

}  // namespace heph::rt::detail
