#include "note_table.hpp"

#include <utility>

namespace notes {

namespace {

std::uint64_t bytes_of(std::string_view id, const note& stored) noexcept {
    return id.size() + stored.content_type.size() + stored.body.size();
}

}  // namespace

std::shared_ptr<const note> note_table::find(std::string_view id) const {
    const auto found = notes_.find(id);
    return found == notes_.end() ? nullptr : found->second;
}

bool note_table::put(std::string_view id, std::shared_ptr<const note> stored) {
    content_bytes_ += bytes_of(id, *stored);
    const auto found = notes_.find(id);
    if (found == notes_.end()) {
        notes_.emplace(id, std::move(stored));
        return true;
    }
    content_bytes_ -= bytes_of(id, *found->second);
    found->second = std::move(stored);
    return false;
}

bool note_table::remove(std::string_view id) {
    const auto found = notes_.find(id);
    if (found == notes_.end()) { return false; }
    content_bytes_ -= bytes_of(id, *found->second);
    notes_.erase(found);
    return true;
}

id_page note_table::ids_after(std::string_view after, std::size_t bytes_max) const {
    id_page page;
    std::size_t bytes = 0;
    for (auto at = notes_.upper_bound(after); at != notes_.end(); ++at) {
        bytes += at->first.size() + 1;
        if (bytes > bytes_max && !page.ids.empty()) {
            page.is_last = false;
            break;
        }
        page.ids.push_back(at->first);
    }
    return page;
}

}  // namespace notes
