#pragma once

// How an actor ended.

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <heph/inbox/observer.hpp>

namespace heph {

/// Says how an actor ended.
enum class end_reason : std::uint8_t {
    finished,  ///< It returned, and did not fail.
    failed,    ///< It failed, and its supervisor stopped it.
    dropped,   ///< It was destroyed while it could have gone on, or have been restarted.
    linked,    ///< It was ended because one that it is linked to failed or was dropped.
    unknown,   ///< There was no actor behind the reference: a plain channel, for one.
};

/// Describes a reason for a log line.
[[nodiscard]] constexpr std::string_view to_string(end_reason reason) noexcept {
    switch (reason) {
        case end_reason::finished: return "finished";
        case end_reason::failed: return "failed";
        case end_reason::dropped: return "dropped";
        case end_reason::linked: return "ended with another one";
        case end_reason::unknown: break;
    }
    return "gone";
}

/// Tells how an actor ended, and why.
class actor_end {
public:
    explicit actor_end(end_reason reason, std::string text = {}) noexcept
        : text_(std::move(text)), reason_(reason) {}

    [[nodiscard]] end_reason reason() const noexcept { return reason_; }
    /// Gives the failure's own words, of the actor or of the one that it was linked to.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    /// Tells whether it did not just finish.
    [[nodiscard]] bool is_abnormal() const noexcept { return reason_ != end_reason::finished; }

private:
    std::string text_;
    end_reason reason_;
};

namespace detail {

/// What an actor leaves in its inbox for monitors. Those without a text are constants, in memory
/// that is read only: hence the plain pointer, and no destructor.
struct end_word : inbox::last_word {
    constexpr explicit end_word(end_reason why) noexcept : inbox::last_word{nullptr}, reason(why) {}
    end_word(end_reason why, std::string words) noexcept
        : inbox::last_word{&drop_word}, reason(why), text(new std::string(std::move(words))) {}

    end_reason reason;
    const std::string* text = nullptr;  // Null in a constant; owned in others.

private:
    static void drop_word(const inbox::last_word& self) noexcept {
        const auto* left = static_cast<const end_word*>(&self);
        delete left->text;
        delete left;
    }
};

static_assert(std::is_trivially_destructible_v<end_word>);

inline constinit const end_word finished_word(end_reason::finished);
inline constinit const end_word failed_word(end_reason::failed);
inline constinit const end_word dropped_word(end_reason::dropped);
inline constinit const end_word linked_word(end_reason::linked);

/// Makes a word to leave, as good as memory allows.
[[nodiscard]] const end_word& make_end_word(const actor_end& end) noexcept;

/// Reads a word, as good as memory allows.
[[nodiscard]] actor_end end_in(const end_word& word) noexcept;

/// Reads a word; `unknown` when there is none.
[[nodiscard]] actor_end read_end_word(const inbox::last_word* word);

}  // namespace detail

}  // namespace heph
