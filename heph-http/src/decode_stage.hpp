#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heph::http::detail {

/// Undoes one coding of a content.
///
///     start --byte--> running --end of the data--> start (another member), or done
///     running --broken data--> broken; done --byte--> broken; start --> too_costly
///
/// Pieces come out in order. It does not move. *Thread safety*: unsafe.
class decode_stage {
public:
    enum class outcome : std::uint8_t { piece, need_input, broken, too_costly };

    decode_stage() = default;
    decode_stage(const decode_stage&) = delete;
    decode_stage& operator=(const decode_stage&) = delete;
    virtual ~decode_stage() = default;

    /// Uses up the front of `input` until there is a piece of output, valid until the next call.
    /// *Errors*: throws `std::bad_alloc`.
    outcome next(std::string_view& input, std::string_view& piece);

    /// Tells whether the data may end here. *Requires*: `next` gave `need_input`.
    [[nodiscard]] virtual bool is_complete() const noexcept { return state_ == state::done; }

    /// What was given and is not used up yet, for who decodes it further.
    [[nodiscard]] std::string_view& given() noexcept { return given_; }
    /// How many bytes were given.
    [[nodiscard]] std::uint64_t& total() noexcept { return total_; }

protected:
    enum class state : std::uint8_t { start, running, done, broken, too_costly };

    /// Prepares for the data that begins with `input`, which is not empty, and says so in
    /// `state_`. False when it takes one byte more to know how.
    virtual bool begin(std::string_view& input) = 0;
    /// Decodes into `room_`, and tells by `made_`, `has_more_` and `state_` what came of it.
    virtual void run(std::string_view& input) = 0;

    state state_ = state::start;
    bool has_more_ = false;  // There may be output that needs no input.
    std::size_t made_ = 0;   // Bytes of `room_` that the last step filled.
    std::array<char, std::size_t{16} * 1024> room_;

private:
    std::string_view given_;
    std::uint64_t total_ = 0;
};

inline decode_stage::outcome decode_stage::next(std::string_view& input, std::string_view& piece) {
    for (;;) {
        switch (state_) {
            case state::start:
                if (input.empty() || !begin(input)) { return outcome::need_input; }
                break;
            case state::running:
                if (input.empty() && !has_more_) { return outcome::need_input; }
                run(input);
                if (made_ > 0) {
                    piece = std::string_view(room_.data(), made_);
                    return outcome::piece;
                }
                break;
            case state::done:
                if (input.empty()) { return outcome::need_input; }
                state_ = state::broken;
                break;
            case state::broken: return outcome::broken;
            case state::too_costly: return outcome::too_costly;
        }
    }
}

}  // namespace heph::http::detail
