#pragma once

// JSON bodies through nlohmann-json. Needs its headers (Debian: nlohmann-json3-dev), which nothing
// else in heph-http does: `find_package(heph-http 0.3 COMPONENTS json)`, target `heph::http-json`.
//
//     struct note { std::string title; int stars = 0; };
//     void to_json(nlohmann::json& to, const note& from) {
//         to = {{"title", from.title}, {"stars", from.stars}};
//     }
//     void from_json(const nlohmann::json& from, note& to) {
//         from.at("title").get_to(to.title);                    // 422 without it
//         to.stars = http::get_integer<int>(from, "stars", 0);  // 422 for 4294967297, 3.9, true
//     }
//
//     heph::task<http::response> add(http::request& request) {
//         auto sent = co_await http::read_json<note>(request);
//         if (!sent) { co_return sent.error().answer(); }    // 400, 413, 415 or 422
//         co_return http::json_response(keep(*sent), http::status::created);
//     }
//
// nlohmann-json's own conversions to numbers, `get<int>`, `get_to`, `value` and what its macros
// make, check no ranges: 4294967297 becomes the `int` 1, -1 a large `std::uint64_t`, 3.9 becomes 3,
// `true` becomes 1, and with 1e300 the behaviour is undefined. Read what a client sends with
// `get_integer` and `to_integer`.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <heph/core/task.hpp>
#include <heph/http/error.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>
#include <heph/http/status.hpp>

namespace heph::http {

/// Bounds what a JSON text may cost.
struct json_limits {
    /// Bytes of the body; without it `limits::body_bytes_max` counts: 413.
    std::optional<std::uint64_t> bytes_max = {};
    /// Arrays and objects within each other: 400. Much that is done with a document, such as
    /// copying it, takes stack for each.
    std::size_t depth_max = 64;
    /// Values of all kinds together, as each takes memory beyond its bytes: 413.
    std::size_t values_max = 100'000;
};

/// Says why there is no JSON value.
class json_error {
public:
    explicit json_error(http::status status, std::string detail = {})
        : status_(status), detail_(std::move(detail)) {}
    explicit json_error(error failure)
        : status_(status_of(failure)), detail_(message(failure)), body_(failure) {}

    [[nodiscard]] http::status status() const noexcept { return status_; }
    /// Gives a sentence for the client.
    [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
    /// Gives what was wrong with the body, when it could not be read.
    [[nodiscard]] std::optional<error> body_failure() const noexcept { return body_; }

    /// Makes the problem (RFC 9457) that answers the request.
    [[nodiscard]] response answer() const {
        response made = response::problem(status_, detail_);
        if (status_ == status::unsupported_media_type) {
            made.set_header("Accept", "application/json");  // RFC 9110, 15.5.16.
            made.set_header("Accept-Encoding", "identity");
        }
        return made;
    }

private:
    http::status status_;
    std::string detail_;
    std::optional<error> body_;
};

namespace detail {

/// Builds a document from what the parser tells, and stops it at a limit. The parser itself takes
/// no stack for what is nested.
class json_builder final : public nlohmann::json_sax<nlohmann::json> {
public:
    using json = nlohmann::json;

    explicit json_builder(const json_limits& within) noexcept : limits_(&within) {}

    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override { return add(value); }
    bool number_float(number_float_t value, const string_t& /*text*/) override {
        return add(value);
    }
    bool string(string_t& value) override { return add(std::move(value)); }
    bool binary(binary_t& /*value*/) override { return false; }
    bool start_object(std::size_t /*size*/) override { return open(json::object()); }
    bool end_object() override { return close(); }
    bool start_array(std::size_t /*size*/) override { return open(json::array()); }
    bool end_array() override { return close(); }
    bool key(string_t& name) override {
        // Which of two would count differs from program to program (RFC 8259, 4).
        if (open_.back()->contains(name)) {
            return fail(status::bad_request, "A name stands twice in one object of the JSON text.");
        }
        name_ = std::move(name);
        return true;
    }
    bool parse_error(std::size_t position, const std::string& /*last*/,
                     const nlohmann::detail::exception& /*why*/) override {
        return fail(status::bad_request,
                    "The body is no JSON text: at byte " + std::to_string(position) + ".");
    }

    [[nodiscard]] json& document() noexcept { return document_; }
    [[nodiscard]] std::optional<json_error>& failure() noexcept { return failure_; }

private:
    bool fail(http::status status, std::string detail) {
        if (!failure_) { failure_.emplace(status, std::move(detail)); }
        return false;
    }

    template <typename Value>
    bool add(Value&& value) {
        return place(json(std::forward<Value>(value))) != nullptr;
    }

    json* place(json&& value) {
        if (++values_ > limits_->values_max) {
            fail(status::content_too_large, "The JSON text has more values than are taken here.");
            return nullptr;
        }
        if (open_.empty()) {
            document_ = std::move(value);
            return &document_;
        }
        if (open_.back()->is_array()) {
            open_.back()->push_back(std::move(value));
            return &open_.back()->back();
        }
        json& member = (*open_.back())[name_];
        member = std::move(value);
        return &member;
    }

    bool open(json&& value) {
        if (open_.size() >= limits_->depth_max) {
            return fail(status::bad_request, "The JSON text is nested deeper than is taken here.");
        }
        json* const placed = place(std::move(value));
        if (placed == nullptr) { return false; }
        open_.push_back(placed);
        return true;
    }

    bool close() {
        open_.pop_back();
        return true;
    }

    const json_limits* limits_;
    json document_;
    std::vector<json*> open_;  // Nothing is added to one while another is open within it.
    std::string name_;
    std::size_t values_ = 0;
    std::optional<json_error> failure_;
};

/// Says what is wrong with a request that should bring JSON; nothing when nothing is.
[[nodiscard]] inline std::optional<json_error> json_type_fault(const headers& fields) {
    const auto wrong = [](std::string detail) {
        return json_error(status::unsupported_media_type, std::move(detail));
    };
    if (const auto coding = fields.get("Content-Encoding")) {
        if (!equal_ignoring_case(*coding, "identity")) {
            return wrong("The body is taken uncompressed only.");
        }
    }
    const auto trim = [](std::string_view text) {
        const std::size_t begin = text.find_first_not_of(" \t");
        if (begin == std::string_view::npos) { return std::string_view(); }
        return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
    };
    const std::string_view all = fields.get("Content-Type").value_or("");
    const std::string_view type = trim(all.substr(0, all.find(';')));
    constexpr std::string_view prefix = "application/";
    constexpr std::string_view suffix = "+json";  // RFC 6839, 3.1.
    const bool structured = type.size() > prefix.size() + suffix.size() &&
                            equal_ignoring_case(type.substr(0, prefix.size()), prefix) &&
                            equal_ignoring_case(type.substr(type.size() - suffix.size()), suffix);
    if (fields.count("Content-Type") != 1 ||
        !(structured || equal_ignoring_case(type, "application/json"))) {
        return wrong("The Content-Type has to be application/json.");
    }
    std::string_view left = all;
    while (left.find(';') != std::string_view::npos) {
        left = left.substr(left.find(';') + 1);
        const std::string_view each = trim(left.substr(0, left.find(';')));
        const std::size_t equals = each.find('=');
        if (equals == std::string_view::npos ||
            !equal_ignoring_case(each.substr(0, equals), "charset")) {
            continue;
        }
        const std::string_view charset = each.substr(equals + 1);
        if (!equal_ignoring_case(charset, "utf-8") && !equal_ignoring_case(charset, "\"utf-8\"")) {
            return wrong("JSON is taken in UTF-8 only.");
        }
    }
    return std::nullopt;
}

}  // namespace detail

/// Parses a JSON text (RFC 8259) within limits. Names that stand twice in an object are refused,
/// and so are numbers beyond those of a `double`, and what is not UTF-8.
/// *Errors*: 400 for what is no JSON, or nested too deep; 413 for too many bytes or values.
/// *Thread safety*: safe.
[[nodiscard]] inline std::expected<nlohmann::json, json_error> parse_json(
    std::string_view text, const json_limits& within = {}) {
    if (within.bytes_max && text.size() > *within.bytes_max) {
        return std::unexpected(json_error(error::body_too_large));
    }
    // The parser takes a NUL for the end, whatever follows.
    if (const std::size_t at = text.find('\0'); at != std::string_view::npos) {
        return std::unexpected(
            json_error(status::bad_request,
                       "The body is no JSON text: at byte " + std::to_string(at + 1) + "."));
    }
    detail::json_builder builder(within);
    const bool good = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
    if (!good || builder.failure()) {
        if (builder.failure()) { return std::unexpected(std::move(*builder.failure())); }
        return std::unexpected(json_error(status::bad_request, "The body is no JSON text."));
    }
    return std::expected<nlohmann::json, json_error>(std::in_place, std::move(builder.document()));
}

/// What a `from_json` throws for a value that is not what it has to be; it is answered with 422.
/// The text says what has to be, such as "stars has to be positive"; the client is shown it.
class json_value_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The types that are integers, and neither characters nor `bool`.
template <typename Integer>
concept json_integer = std::integral<Integer> && std::same_as<Integer, std::remove_cv_t<Integer>> &&
                       !std::same_as<Integer, bool> && !std::same_as<Integer, char> &&
                       !std::same_as<Integer, wchar_t> && !std::same_as<Integer, char8_t> &&
                       !std::same_as<Integer, char16_t> && !std::same_as<Integer, char32_t>;

namespace detail {

template <json_integer Integer>
Integer integer_of(const nlohmann::json& value, std::string_view name) {
    using bounds = std::numeric_limits<Integer>;
    if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        if (std::in_range<Integer>(number)) { return static_cast<Integer>(number); }
    } else if (value.is_number_integer()) {
        const auto number = value.get<std::int64_t>();
        if (std::in_range<Integer>(number)) { return static_cast<Integer>(number); }
    }
    throw json_value_error(std::string(name) + " has to be an integer from " +
                           std::to_string(bounds::min()) + " to " + std::to_string(bounds::max()));
}

}  // namespace detail

/// Gives the integer that a JSON value is, for use within a `from_json`. What is written with a
/// fraction or an exponent is none, `3.0` and `1e2` included.
/// *Errors*: throws `json_value_error`, which `read_json` and `from_json_document` answer with 422,
/// for what is no integer, or none that an `Integer` can hold.
/// *Thread safety*: safe.
template <json_integer Integer>
[[nodiscard]] Integer to_integer(const nlohmann::json& value) {
    return detail::integer_of<Integer>(value, "a number");
}

/// Gives the integer that a member of a JSON object is, for use within a `from_json`.
/// *Errors*: as `to_integer`; throws `nlohmann::json::exception`, which is answered with 422 too,
/// when `object` is none, or has no such member.
/// *Thread safety*: safe.
template <json_integer Integer>
[[nodiscard]] Integer get_integer(const nlohmann::json& object, std::string_view name) {
    return detail::integer_of<Integer>(object.at(std::string(name)), name);
}

/// Gives the integer that a member of a JSON object is, or `otherwise` when there is no such
/// member. A `null` is a member, and no integer.
/// *Errors*: as `to_integer`; also when `object` is none.
/// *Thread safety*: safe.
template <json_integer Integer>
[[nodiscard]] Integer get_integer(const nlohmann::json& object, std::string_view name,
                                  std::type_identity_t<Integer> otherwise) {
    if (!object.is_object()) { throw json_value_error("it has to be an object"); }
    const auto found = object.find(std::string(name));
    return found == object.end() ? otherwise : detail::integer_of<Integer>(*found, name);
}

/// Makes a `Value` of a JSON document, as nlohmann-json's `from_json` has it. Its conversions to
/// numbers check no ranges: `get_integer` and `to_integer` do.
/// *Errors*: 422 (Unprocessable Content) for a member that is missing or of another type, and for a
/// `json_value_error`. Whatever else a `from_json` throws is passed on.
template <typename Value>
[[nodiscard]] std::expected<Value, json_error> from_json_document(const nlohmann::json& document) {
    const auto refuse = [](std::string_view why) {
        return std::unexpected(json_error(
            status::unprocessable_content,
            "The JSON text says something else than is expected: " + std::string(why) + "."));
    };
    try {
        return std::expected<Value, json_error>(std::in_place, document.get<Value>());
    } catch (const nlohmann::json::exception& why) {
        std::string_view told = why.what();
        // Behind what is for programmers: `[json.exception.type_error.302] type must be …`.
        if (const auto end = told.find("] "); end != std::string_view::npos) {
            told.remove_prefix(end + 2);
        }
        return refuse(told);
    } catch (const json_value_error& why) { return refuse(why.what()); }
}

/// Reads a request's body as JSON.
/// *Errors*: 415 when `Content-Type` names something else, or a charset other than UTF-8, or the
/// body is compressed; what `request::read_body` gives; what `parse_json` gives.
/// *Lifetime*: `request` must stay until it completes.
[[nodiscard]] inline task<std::expected<nlohmann::json, json_error>> read_json(
    request& request, json_limits within = {}) {
    using result = std::expected<nlohmann::json, json_error>;
    std::optional<json_error> fault = detail::json_type_fault(request.headers());
    if (fault) { co_return result(std::unexpect, std::move(*fault)); }
    auto reading = within.bytes_max ? request.read_body(*within.bytes_max) : request.read_body();
    const auto body = co_await reading;
    if (!body) { co_return result(std::unexpect, json_error(body.error())); }
    within.bytes_max.reset();
    co_return parse_json(*body, within);
}

/// Reads a request's body as JSON that says a `Value`.
/// *Errors*: also what `from_json_document` gives.
template <typename Value>
[[nodiscard]] task<std::expected<Value, json_error>> read_json(request& request,
                                                               json_limits within = {}) {
    using result = std::expected<Value, json_error>;
    auto reading = read_json(request, within);
    auto document = co_await reading;
    if (!document) { co_return result(std::unexpect, std::move(document.error())); }
    co_return from_json_document<Value>(*document);
}

/// Makes a response with what nlohmann-json's `to_json` makes of a value. Text that is not UTF-8
/// has U+FFFD in its place.
template <typename Value>
[[nodiscard]] response json_response(const Value& value, http::status status = status::ok) {
    const nlohmann::json document(value);
    return response::json(
        document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n', status);
}

}  // namespace heph::http
