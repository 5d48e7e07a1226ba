#include "log_replay.hpp"

#include <memory>
#include <string>
#include <utility>

#include <heph/core/log.hpp>

namespace notes {

void apply(const record& change, note_table& table) {
    if (change.kind == record_kind::remove) {
        (void)table.remove(change.id);
        return;
    }
    auto stored = std::make_shared<note>();
    stored->content_type = change.content_type;
    stored->body = change.body;
    (void)table.put(change.id, std::move(stored));
}

void report_torn_tail(const opened_log& log) {
    if (!log.found.tail) { return; }
    const torn_tail& tail = *log.found.tail;
    heph::log(heph::log_level::warning, log.path.string() + ": a torn write at byte " +
                                            std::to_string(tail.offset) + ", of " +
                                            std::to_string(tail.bytes) + " bytes, was cut off (" +
                                            tail.reason + "); nobody was told that it was stored");
}

}  // namespace notes
