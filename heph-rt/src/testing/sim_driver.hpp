#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "../driver.hpp"
#include "../slot_list.hpp"

namespace heph::rt::detail {

class sim_host;

/// Carries out operations on the sockets of a simulated host: it tries one at once or, by the seed,
/// in the next turn; one that would block it tries again when something happened to its
/// descriptor. What has nothing to do with such a socket fails with `EOPNOTSUPP`.
///
/// Invariants
///     1. A slot in flight is in one list: `soon_`, or those of its descriptor that wait.
///     2. Of those that wait to read a descriptor, or to write it, only the first is tried, so that
///        they complete in the order in which they were asked for.
///
/// *Thread safety*: unsafe.
class sim_driver final : public driver {
public:
    sim_driver(worker_link& link, const driver_settings& settings, sim_host& host);
    ~sim_driver() override;

    [[nodiscard]] driver_kind kind() const noexcept override { return no_kernel; }
    [[nodiscard]] bool anything_completed() const noexcept override {
        return !soon_.empty() || !ready_.empty();
    }

    /// Says that something happened to a descriptor.
    void note_ready(int descriptor) { ready_.insert(descriptor); }

    void pause(slot& operation) noexcept override;
    void turn() noexcept override;
    void wait(std::optional<std::chrono::milliseconds> timeout) noexcept override;
    std::size_t drain(std::chrono::milliseconds patience) noexcept override;

protected:
    void start(slot& operation) noexcept override;
    void cancel(slot& operation) noexcept override;
    void close_ordinary(int descriptor) noexcept override;
    [[nodiscard]] std::unique_ptr<buffer_pool> make_buffers() override;

private:
    struct waiting {
        slot_list readers;
        slot_list writers;
    };

    void try_or_wait(slot& operation) noexcept;
    // These give false when the operation would block.
    [[nodiscard]] bool attempt(slot& operation) noexcept;
    [[nodiscard]] bool attempt_receive_many(slot& operation) noexcept;
    [[nodiscard]] bool attempt_accept_many(slot& operation) noexcept;
    void serve(slot_list& those) noexcept;

    sim_host* host_;
    std::map<int, waiting> waiting_;  // By descriptor.
    slot_list soon_;                  // To be tried in the next turn.
    std::set<int> ready_;             // Descriptors to which something happened.
};

}  // namespace heph::rt::detail
