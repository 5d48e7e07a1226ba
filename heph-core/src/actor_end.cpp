#include <heph/core/actor_end.hpp>

#include <string>

#include <heph/core/actor_future.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/supervisor.hpp>

namespace heph::detail {

const end_word& make_end_word(const actor_end& end) noexcept {
    if (!end.text().empty()) {
        try {
            return *new end_word(end.reason(), end.text());
        } catch (...) {
            // No memory for the text: the reason alone has to do.
        }
    }
    switch (end.reason()) {
        case end_reason::finished: return finished_word;
        case end_reason::failed: return failed_word;
        case end_reason::linked: return linked_word;
        case end_reason::dropped:
        case end_reason::unknown: break;
    }
    return dropped_word;
}

actor_end end_in(const end_word& word) noexcept {
    try {
        return read_end_word(&word);
    } catch (...) { return actor_end(word.reason); }
}

actor_end read_end_word(const inbox::last_word* word) {
    if (word == nullptr) { return actor_end(end_reason::unknown); }
    const auto& left = *static_cast<const end_word*>(word);
    return actor_end(left.reason, left.text ? *left.text : std::string());
}

actor_end end_of(const failure& why, bool is_watched) noexcept {
    if (is_watched) {
        try {
            return actor_end(end_reason::failed, why.message());
        } catch (...) {
            // The reason alone has to do.
        }
    }
    return actor_end(end_reason::failed);
}

void log_lost_escalation(const failure& why) noexcept {
    log_failure(why, "stopping it, as there is nobody to escalate to", true);
}

}  // namespace heph::detail
