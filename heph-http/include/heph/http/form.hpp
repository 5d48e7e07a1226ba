#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/http/error.hpp>

namespace heph::http {

/// Holds the fields of a form or a query, decoded, in their order; a name may be there repeatedly.
///
///     const auto body = co_await request.read_body();
///     const auto form = http::form::parse(*body);
///     const auto title = form->get("title");
class form {
public:
    using field = std::pair<std::string, std::string>;

    /// Reads `application/x-www-form-urlencoded`, be it a body or a query (WHATWG URL, 5.1).
    ///
    /// `+` is a space; a percent sign that encodes nothing stands for itself; a field without `=`
    /// has an empty value.
    /// *Errors*: `too_many_fields` for more than `fields_max`.
    [[nodiscard]] static std::expected<form, error> parse(std::string_view text,
                                                          std::size_t fields_max = 1000);

    /// Gives the first value of this name. Case matters.
    [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const noexcept;
    /// Gives all values of this name, in their order.
    [[nodiscard]] std::vector<std::string_view> get_all(std::string_view name) const;
    [[nodiscard]] bool contains(std::string_view name) const noexcept {
        return get(name).has_value();
    }

    /// Adds a field behind the others.
    form& append(std::string name, std::string value) {
        fields_.emplace_back(std::move(name), std::move(value));
        return *this;
    }

    /// Writes the fields as `application/x-www-form-urlencoded`.
    [[nodiscard]] std::string to_string() const;

    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }
    [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
    [[nodiscard]] auto end() const noexcept { return fields_.end(); }

private:
    std::vector<field> fields_;
};

}  // namespace heph::http
