#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <heph/core/yield.hpp>
#include <heph/http/entity_tag.hpp>
#include <heph/http/middleware/compression.hpp>
#include <heph/http/negotiation.hpp>

#include "../brotli_writer.hpp"
#include "../chars.hpp"
#include "../zlib_deflate.hpp"

namespace heph::http {

namespace {

using outcome = std::expected<void, error>;

bool is_compressible(std::string_view content_type) {
    const std::string_view type = detail::trim(content_type.substr(0, content_type.find(';')));
    constexpr std::array<std::string_view, 8> known{
        "application/json", "application/javascript",
        "application/xml",  "application/wasm",
        "image/svg+xml",    "font/ttf",
        "font/otf",         "application/manifest+json"};
    const auto is = [type](std::string_view other) { return equal_ignoring_case(type, other); };
    if (is("text/event-stream")) { return false; }
    const bool text = type.size() > 5 && equal_ignoring_case(type.substr(0, 5), "text/");
    const bool structured = type.ends_with("+json") || type.ends_with("+xml");
    return text || structured || std::ranges::any_of(known, is);
}

/// A coding, and how hard it tries.
class encoding {
public:
    encoding(std::optional<int> brotli, int gzip) noexcept : brotli_(brotli), gzip_(gzip) {}

    [[nodiscard]] std::unique_ptr<detail::content_encoder> make_encoder(
        std::optional<std::size_t> size = {}) const {
        if (brotli_) { return std::make_unique<detail::brotli_writer>(*brotli_, size); }
        return std::make_unique<detail::gzip_writer>(gzip_);
    }

private:
    std::optional<int> brotli_;  // Nothing for gzip.
    int gzip_;
};

/// Compresses what is written, piece by piece.
class compressing_writer final : public body_writer {
public:
    compressing_writer(body_writer& to, std::unique_ptr<detail::content_encoder> by)
        : to_(&to), by_(std::move(by)) {}

    task<outcome> write(std::string_view piece) override {
        std::string out;
        if (!piece.empty()) { by_->add(piece, out); }
        const outcome written = co_await to_->write(out);
        co_return written;
    }
    task<void> gone() override { return to_->gone(); }
    outcome add_trailer(std::string_view name, std::string_view value) override {
        return to_->add_trailer(name, value);
    }
    task<outcome> end() {
        std::string out;
        by_->end({}, out);
        const outcome written = co_await to_->write(out);
        co_return written;
    }

private:
    body_writer* to_;
    std::unique_ptr<detail::content_encoder> by_;
};

/// Counts a stream for as long as it lives.
class stream_place {
public:
    using counter = std::shared_ptr<std::atomic<std::size_t>>;

    /// Takes a place; gives nothing when there is none.
    [[nodiscard]] static std::unique_ptr<const stream_place> take(const counter& taken,
                                                                  std::size_t most) {
        auto made = std::make_unique<const stream_place>(taken);
        // Relaxed: it counts, and orders nothing.
        if (taken->load(std::memory_order_relaxed) > most) { made.reset(); }
        return made;
    }
    explicit stream_place(counter taken) noexcept : taken_(std::move(taken)) {
        taken_->fetch_add(1, std::memory_order_relaxed);
    }
    stream_place(const stream_place&) = delete;
    stream_place& operator=(const stream_place&) = delete;
    ~stream_place() { taken_->fetch_sub(1, std::memory_order_relaxed); }

private:
    counter taken_;
};

// So much is compressed in a few milliseconds.
constexpr std::size_t piece_bytes = 64 * 1024;

/// Produces a body that is there as a whole, with turns for others in between.
task<outcome> write_pieces(const std::shared_ptr<const std::string> body, body_writer* to) {
    for (std::string_view left(*body); !left.empty();) {
        const std::string_view piece = left.substr(0, piece_bytes);
        left.remove_prefix(piece.size());
        const outcome written = co_await to->write(piece);
        if (!written) { co_return written; }
        co_await yield();
    }
    co_return outcome();
}

task<outcome> produce(body_producer* inner, body_writer* to, encoding how) {
    compressing_writer compressed(*to, how.make_encoder());
    auto producing = (*inner)(compressed);
    const outcome produced = co_await std::move(producing);
    if (!produced) { co_return produced; }
    const outcome ended = co_await compressed.end();
    co_return ended;
}

class policy {
public:
    explicit policy(compression_options options) : options_(std::move(options)) {
        if (options_.level < 1 || options_.level > 9) {
            throw std::invalid_argument("compression: the level is 1 to 9");
        }
        if (options_.brotli_level && (*options_.brotli_level < 0 || *options_.brotli_level > 11)) {
            throw std::invalid_argument("compression: the level of Brotli is 0 to 11");
        }
        if (!options_.compresses) { options_.compresses = is_compressible; }
    }

    task<response> run(request& asked, next_handler next) const {
        response answer = co_await next(asked);
        if (answer.status() == status::not_modified) {
            adapt_not_modified(asked, answer);
            co_return answer;
        }
        if (answer.status() == status::partial_content) {
            // As the whole would have it (RFC 9110, 15.3.7).
            const whole_answer* const whole = answer.stands_for();
            if (whole != nullptr ? suits(*whole, answer.headers()) : suits_but_for_size(answer)) {
                note_choice(answer);
            }
            co_return answer;
        }
        if (!may_compress(answer)) { co_return answer; }
        note_choice(answer);
        const std::string_view coding = coding_for(asked);
        if (!coding.empty()) { compress(answer, coding); }
        co_return answer;
    }

private:
    /// Gives the coding that a client likes best; nothing for none.
    [[nodiscard]] std::string_view coding_for(const request& asked) const {
        constexpr std::array<std::string_view, 3> codings{"br", "gzip", "identity"};
        const std::size_t first = options_.brotli_level ? 0 : 1;
        const auto chosen = choose_encoding(asked.headers(), std::span(codings).subspan(first));
        if (!chosen || *chosen + first + 1 == codings.size()) { return {}; }
        return codings[*chosen + first];
    }

    /// Gives a 304 the fields that the 200 would have (RFC 9110, 15.4.5).
    void adapt_not_modified(const request& asked, response& answer) const {
        const whole_answer* const whole = answer.stands_for();
        if (whole == nullptr) {
            // Nobody said what it stands for: a field too many does no harm.
            note_choice(answer);
            if (has_compressed(asked, answer)) { weaken_tag(answer); }
        } else if (suits(*whole, answer.headers())) {
            note_choice(answer);
            if (!coding_for(asked).empty()) { weaken_tag(answer); }
        }
    }

    static void note_choice(response& answer) {
        if (!answer.headers().has_token("Vary", "Accept-Encoding")) {
            answer.headers().append("Vary", "Accept-Encoding");
        }
    }

    static void weaken_tag(response& answer) {
        if (const auto tag = answer.headers().get("ETag"); tag && tag->starts_with('"')) {
            answer.set_header("ETag", "W/" + std::string(*tag));
        }
    }

    // Tells whether such a 304 is about what was sent compressed: the client knows the weak tag
    // only. A cache does not take the strong one for that of what it has (RFC 9111, 4.3.4).
    static bool has_compressed(const request& asked, const response& not_modified) {
        const auto text = not_modified.headers().get("ETag");
        if (!text) { return false; }
        const auto tag = entity_tag::parse(*text);
        if (!tag) { return false; }
        bool found = false;
        for (const header each : asked.headers()) {
            if (!equal_ignoring_case(each.name, "If-None-Match")) { continue; }
            std::string_view list = each.value;
            while (const auto known = next_entity_tag(list)) {
                if (known->matches_strongly(*tag)) { return false; }
                found = found || known->matches_weakly(*tag);
            }
        }
        return found;
    }

    /// Tells whether a whole is compressed for who likes that. A 304 or 206 that stands for it has
    /// its other fields.
    [[nodiscard]] bool suits(const whole_answer& whole, const headers& fields) const {
        return !whole.is_encoded && !whole.content_type.empty() &&
               !fields.has_token("Cache-Control", "no-transform") &&
               (!whole.bytes || *whole.bytes >= options_.bytes_min) &&
               options_.compresses(whole.content_type);
    }

    /// Tells whether all but the size of an answer, or of the whole that it is a part of, is in
    /// favour.
    [[nodiscard]] bool suits_but_for_size(const response& answer) const {
        const headers& fields = answer.headers();
        if (fields.contains("Content-Encoding") ||
            fields.has_token("Cache-Control", "no-transform")) {
            return false;
        }
        const auto type = fields.get("Content-Type");
        if (!type) { return false; }
        // Several ranges do not tell the type of the whole: it may be one that is compressed.
        constexpr std::string_view ranges = "multipart/byteranges";
        const bool parts = answer.status() == status::partial_content &&
                           equal_ignoring_case(type->substr(0, ranges.size()), ranges);
        return parts || options_.compresses(*type);
    }

    [[nodiscard]] bool may_compress(const response& answer) const {
        if (answer.is_upgrade() || is_bodiless(answer.status()) ||
            answer.headers().contains("Content-Range") || !suits_but_for_size(answer)) {
            return false;
        }
        const auto bytes = answer.body_bytes();
        return !bytes || *bytes >= options_.bytes_min;
    }

    void compress(response& answer, std::string_view coding) const {
        const encoding how(coding == "br" ? options_.brotli_level : std::nullopt, options_.level);
        const bool whole =
            !answer.is_streamed() && answer.body().size() <= options_.whole_bytes_max;
        if (!whole) {
            auto place = stream_place::take(streams_, options_.streams_max);
            if (!place) { return; }
            auto inner = std::make_unique<body_producer>(producer_of(answer));
            answer.set_stream([inner = std::move(inner), how, place = std::move(place)](
                                  body_writer& to) { return produce(inner.get(), &to, how); });
        } else {
            std::string small;
            how.make_encoder(answer.body().size())->end(answer.body(), small);
            answer.set_body(std::move(small));
        }
        answer.set_header("Content-Encoding", coding);
        // A range of it would be one of other bytes the next time.
        (void)answer.headers().remove("Accept-Ranges");
        weaken_tag(answer);
    }

    static body_producer producer_of(response& answer) {
        if (answer.is_streamed()) { return std::move(answer.producer()); }
        return [body = answer.take_body()](body_writer& to) { return write_pieces(body, &to); };
    }

    compression_options options_;
    stream_place::counter streams_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace

middleware compression(compression_options options) {
    return [shared = std::make_shared<const policy>(std::move(options))](
               request& asked, next_handler next) { return shared->run(asked, next); };
}

}  // namespace heph::http
