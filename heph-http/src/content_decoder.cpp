#include <heph/http/content_decoder.hpp>

#include <algorithm>
#include <utility>

#include "brotli_stage.hpp"
#include "chars.hpp"
#include "zlib_inflate.hpp"

namespace heph::http {

using detail::decode_stage;

namespace {

/// Makes what undoes a coding; null when it is not known.
std::unique_ptr<decode_stage> make_stage(std::string_view coding, const decoding_limits& limits) {
    using detail::inflate_stage;
    const auto is = [coding](std::string_view name) { return equal_ignoring_case(coding, name); };
    // RFC 9110, 8.4.1.3, for the second one.
    if (is("gzip") || is("x-gzip")) {
        return std::make_unique<inflate_stage>(inflate_stage::coding::gzip);
    }
    if (is("deflate")) { return std::make_unique<inflate_stage>(inflate_stage::coding::deflate); }
    if (is("br")) { return std::make_unique<detail::brotli_stage>(limits.window_bytes_max); }
    return nullptr;
}

}  // namespace

content_decoder::content_decoder(const headers& fields, decoding_limits limits) : limits_(limits) {
    for (const header field : fields) {
        if (!equal_ignoring_case(field.name, "Content-Encoding")) { continue; }
        std::string_view list = field.value;
        while (!list.empty()) {
            const std::string_view name = detail::next_element(list);
            if (name.empty() || equal_ignoring_case(name, "identity")) { continue; }
            auto stage = make_stage(name, limits_);
            if (!stage || stages_.size() == limits_.codings_max) {
                (void)fail(error::unknown_content_encoding);
                return;
            }
            stages_.push_back(std::move(stage));
        }
    }
    std::ranges::reverse(stages_);
}

content_decoder::content_decoder(content_decoder&&) noexcept = default;
content_decoder& content_decoder::operator=(content_decoder&&) noexcept = default;
content_decoder::~content_decoder() = default;

h1::event content_decoder::fail(error what) noexcept {
    failed_ = true;
    failure_ = what;
    return h1::event(what);
}

// Counts bytes, and remembers what is too much.
bool content_decoder::counts(std::uint64_t& total, std::size_t more) noexcept {
    total += more;
    const std::uint64_t ratio_max = std::max<std::uint64_t>(limits_.ratio_max, 1);
    if (total > limits_.bytes_max) {
        (void)fail(error::body_too_large);
    } else if (total > limits_.ratio_free_bytes && total / ratio_max > received_) {
        (void)fail(error::decompression_bomb);
    }
    return !failed_;
}

h1::event content_decoder::next_plain(std::string_view& input) noexcept {
    if (input.empty()) { return h1::event(h1::event_kind::need_input); }
    const std::string_view piece = std::exchange(input, {});
    return counts(received_, piece.size()) ? h1::event(piece) : h1::event(failure_);
}

h1::event content_decoder::next(std::string_view& input) {
    if (failed_) { return h1::event(failure_); }
    if (stages_.empty()) { return next_plain(input); }
    // The innermost content that there is comes first: outer codings wait until it is used up.
    std::size_t at = stages_.size() - 1;
    for (;;) {
        decode_stage& stage = *stages_[at];
        std::string_view& from = at == 0 ? input : stages_[at - 1]->given();
        const std::size_t before = from.size();
        std::string_view piece;
        const auto outcome = stage.next(from, piece);
        if (at == 0) { received_ += before - from.size(); }
        switch (outcome) {
            case decode_stage::outcome::broken: return fail(error::bad_content_encoding);
            case decode_stage::outcome::too_costly: return fail(error::decompression_bomb);
            case decode_stage::outcome::need_input:
                if (at == 0) { return h1::event(h1::event_kind::need_input); }
                --at;
                break;
            case decode_stage::outcome::piece:
                if (!counts(stage.total(), piece.size())) { return h1::event(failure_); }
                if (at + 1 == stages_.size()) { return h1::event(piece); }
                stage.given() = piece;
                ++at;
                break;
        }
    }
}

h1::event content_decoder::end_of_input() noexcept {
    if (failed_) { return h1::event(failure_); }
    const bool complete = received_ == 0 || std::ranges::all_of(stages_, [](const auto& stage) {
                              return stage->is_complete();
                          });
    return complete ? h1::event(h1::event_kind::end) : fail(error::bad_content_encoding);
}

}  // namespace heph::http
