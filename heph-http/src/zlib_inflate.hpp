#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <zlib.h>

namespace heph::http::detail {

/// Undoes one coding of a content: gzip, or deflate as HTTP names it.
///
///     start --byte--> running --end of the data--> start (gzip: another member), done (deflate)
///     running --broken data--> broken; done --byte--> broken
///
/// Pieces come out in order, and all that comes before a mistake does, however the input is cut.
/// It does not move: zlib keeps a pointer to the stream. *Thread safety*: unsafe.
class inflate_stage {
public:
    enum class coding : std::uint8_t { gzip, deflate };
    enum class outcome : std::uint8_t { piece, need_input, broken };

    explicit inflate_stage(coding what) noexcept : coding_(what) {}
    inflate_stage(const inflate_stage&) = delete;
    inflate_stage& operator=(const inflate_stage&) = delete;
    ~inflate_stage();

    /// Uses up the front of `input` until there is a piece of output, valid until the next call.
    /// *Errors*: throws `std::bad_alloc`.
    outcome next(std::string_view& input, std::string_view& piece);

    /// Tells whether the data may end here. *Requires*: `next` gave `need_input`.
    [[nodiscard]] bool is_complete() const noexcept {
        return state_ == state::done || (state_ == state::start && begun_);
    }

    /// What was given and is not used up yet, for who decodes it further.
    [[nodiscard]] std::string_view& given() noexcept { return given_; }
    /// How many bytes were given.
    [[nodiscard]] std::uint64_t& total() noexcept { return total_; }

private:
    enum class state : std::uint8_t { start, running, done, broken };

    bool begin(std::string_view& input);
    void run(std::string_view& input);

    std::string_view given_;
    std::uint64_t total_ = 0;
    z_stream stream_{};
    coding coding_;
    state state_ = state::start;
    bool begun_ = false;    // zlib has memory; that was not for nothing.
    bool full_ = false;     // The last output filled its room: there may be more.
    bool held_ = false;     // `first_` was taken.
    char first_ = 0;        // The first byte of deflate: two tell what it is wrapped in.
    std::size_t made_ = 0;  // Bytes of `room_` that the last step filled.
    std::array<char, std::size_t{16} * 1024> room_;
};

}  // namespace heph::http::detail
