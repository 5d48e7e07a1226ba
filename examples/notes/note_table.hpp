#pragma once

// The notes of one node, in memory.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace notes {

/// Is what a note holds. Shared once it is made, never changed.
struct note {
    std::string content_type;
    std::string body;
};

/// Is a part of the list of ids, in the order of their bytes.
struct id_page {
    std::vector<std::string> ids;
    bool is_last = true;
};

/// Maps ids to notes.
///
/// *Thread safety*: unsafe; the notes it gives may be read by any thread.
class note_table {
public:
    /// Gives the note, or null.
    [[nodiscard]] std::shared_ptr<const note> find(std::string_view id) const;

    /// Stores a note; gives true when there was none by that id.
    bool put(std::string_view id, std::shared_ptr<const note> stored);

    /// Removes a note; gives false when there is none.
    bool remove(std::string_view id);

    /// Gives the ids behind `after`, as many as fit into `bytes_max` with a newline each, at least
    /// one if there is any.
    [[nodiscard]] id_page ids_after(std::string_view after, std::size_t bytes_max) const;

    /// Calls `visit(id, note)` for each note, in the order of their ids' bytes.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [id, stored] : notes_) { visit(id, *stored); }
    }

    [[nodiscard]] std::size_t size() const noexcept { return notes_.size(); }

    /// Gives the bytes of all ids, types and bodies.
    [[nodiscard]] std::uint64_t content_bytes() const noexcept { return content_bytes_; }

private:
    std::map<std::string, std::shared_ptr<const note>, std::less<>> notes_;
    std::uint64_t content_bytes_ = 0;
};

}  // namespace notes
