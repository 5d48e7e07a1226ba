#pragma once

#include <cstdint>
#include <string_view>

#include <heph/http/error.hpp>

namespace heph::http::h1 {

/// Names what a parser found.
enum class event_kind : std::uint8_t {
    need_input,  ///< All input is used up, and more is needed.
    head,        ///< The head is complete.
    body,        ///< A piece of the body: `event::data`.
    end,         ///< The message is complete.
    error,       ///< The message is refused: `event::failure`. Nothing follows.
};

/// One step of a parser.
struct event {
    explicit event(event_kind what) noexcept : kind(what) {}
    explicit event(std::string_view body) noexcept : kind(event_kind::body), data(body) {}
    explicit event(error what) noexcept : kind(event_kind::error), failure(what) {}

    event_kind kind;
    error failure{};        ///< For `event_kind::error`.
    std::string_view data;  ///< For `event_kind::body`: a part of the input, never empty.
};

}  // namespace heph::http::h1
