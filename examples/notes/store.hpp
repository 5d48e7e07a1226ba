#pragma once

// The actor that owns a node's notes and its log.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/rt/worker.hpp>

#include "data_dir.hpp"
#include "messages.hpp"
#include "note_log.hpp"
#include "note_table.hpp"

namespace notes {

/// Tells the rest of the program how the stores of this node fare.
struct store_health {
    std::atomic<bool> has_failed = false;
    std::atomic<std::uint64_t> notes = 0;    ///< That are kept.
    std::atomic<std::uint64_t> bytes = 0;    ///< Of their ids, types and contents.
    std::atomic<std::uint64_t> changes = 0;  ///< That were written since the start.
    std::atomic<std::uint64_t> groups = 0;   ///< In which they were written.
};

/// Bounds what a store takes.
struct store_limits {
    std::size_t waiting_changes_max = 4096;                       ///< Until the next group.
    std::size_t waiting_bytes_max = 2 * frame_payload_bytes_max;  ///< Of these, ids and types too.
    std::uint64_t content_bytes_max = 1024ULL * 1024 * 1024;      ///< Of all notes.
};

/// Holds the notes in memory and on disk, and changes them in groups.
///
/// A change is answered after it is on disk. What comes while the disk is at work is gathered and
/// then written as one group, so that many writers share one flush; reads go on meanwhile, and see
/// what is on disk. A group that cannot be written is cut off again and none of it is applied. When
/// the disk fails in a way that leaves unknown what is on it, no change is taken any more.
///
/// The conditions of a change are judged by what the changes before it make of the note, so that no
/// other one comes between the two.
class note_store {
public:
    note_store(note_table table, opened_log log, std::shared_ptr<store_health> health,
               const store_limits& limits = {}) noexcept;
    note_store(const note_store&) = delete;
    note_store& operator=(const note_store&) = delete;
    ~note_store();

    /// Answers a read, or queues a change.
    void take(store_message message);

    [[nodiscard]] bool has_changes() const noexcept { return !waiting_.empty(); }
    /// Tells whether another change can be queued.
    [[nodiscard]] bool has_room() const noexcept;

    /// Writes a group of the queued changes, and answers it. *Requires*: `has_changes()`.
    heph::task<> commit();

    /// Refuses what is queued or being written, and all further changes; reads go on. For when the
    /// program itself failed half-way, so that memory and disk may differ.
    void give_up(std::string_view why);

private:
    using change = std::variant<put_call, remove_call>;
    // What is to be done about a change of the group.
    enum class verdict : std::uint8_t {
        make,
        absent,  // It removes what is not there.
        unmet,   // Its conditions do not hold.
    };
    // The note that an earlier change of the group stores, or null where it removes one.
    using earlier_changes = std::unordered_map<std::string_view, const put_note*>;

    void take_change(change asked);
    void build_group();
    [[nodiscard]] verdict judge(const change& asked, const earlier_changes& earlier) const;
    heph::task<std::optional<change_reply>> write_group();
    void cut_back(std::error_code why);
    void answer_group();
    void tell_size() noexcept;
    void tell_size(std::uint64_t notes, std::uint64_t bytes) noexcept;
    void refuse_group(const change_reply& reply);
    void break_down(std::string why);

    note_table table_;
    opened_log log_;
    std::shared_ptr<store_health> health_;
    store_limits limits_;
    std::uint64_t told_notes_ = 0;  // Of what `health_` has of this store.
    std::uint64_t told_bytes_ = 0;
    std::vector<change> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::vector<change> group_;
    std::vector<verdict> verdicts_;  // For each change of the group.
    std::optional<frame_builder> frame_;
    std::optional<std::string> broken_;
};

/// Runs the store until nobody can ask it any more.
heph::task<> run_store(heph::rt::local_context<store_message> ctx,
                       std::shared_ptr<note_store> store);

}  // namespace notes
