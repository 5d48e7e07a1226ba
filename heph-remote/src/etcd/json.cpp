#include "etcd/json.hpp"

#include <charconv>
#include <concepts>
#include <limits>
#include <system_error>
#include <utility>

#include <heph/remote/codec/json_reader.hpp>

namespace heph::remote::etcd {

/// Reads any value, whose depth the reader bounds.
class json_builder {
public:
    explicit json_builder(std::string_view text) noexcept : in_(text, limits()) {}

    bool read_all(json_value& into) { return read(into) && in_.finish(); }

private:
    using kind = json_value::kind;

    static decode_limits limits() noexcept {
        decode_limits made;
        made.depth_max = json_value::depth_max;
        // What came is bounded already, and what is made of it by the number of values.
        made.memory_bytes_max = std::numeric_limits<std::size_t>::max();
        return made;
    }

    bool read(json_value& into) {
        if (++values_ > json_value::values_max) { return false; }
        std::string_view digits;
        bool is_true = false;
        switch (in_.next()) {
            case json_reader::kind::nothing: return false;
            case json_reader::kind::null: return in_.read_null();
            case json_reader::kind::object: return read_object(into);
            case json_reader::kind::array: return read_array(into);
            case json_reader::kind::string:
                into.kind_ = kind::string;
                return in_.read_string(into.text_);
            case json_reader::kind::number:
                into.kind_ = kind::number;
                if (!in_.read_number(digits)) { return false; }
                into.text_ = digits;
                return true;
            case json_reader::kind::boolean:
                into.kind_ = kind::boolean;
                if (!in_.read_bool(is_true)) { return false; }
                into.text_ = is_true ? "t" : "f";
                return true;
        }
        return false;
    }

    bool read_object(json_value& into) {
        into.kind_ = kind::object;
        bool more = false;
        if (!in_.enter_object(more)) { return false; }
        while (more) {
            std::string_view name;
            if (!in_.read_name(name)) { return false; }
            into.names_.emplace_back(name);
            if (!read(into.items_.emplace_back()) || !in_.next_member(more)) { return false; }
        }
        return true;
    }

    bool read_array(json_value& into) {
        into.kind_ = kind::array;
        bool more = false;
        if (!in_.enter_array(more)) { return false; }
        while (more) {
            if (!read(into.items_.emplace_back()) || !in_.next_element(more)) { return false; }
        }
        return true;
    }

    json_reader in_;
    std::size_t values_ = 0;
};

std::optional<json_value> json_value::parse(std::string_view text) {
    json_value made;
    if (!json_builder(text).read_all(made)) { return std::nullopt; }
    return made;
}

namespace {

const json_value absent;

template <std::integral Integer>
std::optional<Integer> integer_of(const json_value& value) noexcept {
    if (value.is_null()) { return Integer{0}; }
    if (value.type() != json_value::kind::number && value.type() != json_value::kind::string) {
        return std::nullopt;
    }
    const auto& text = value.text();
    Integer number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) { return std::nullopt; }
    return number;
}

}  // namespace

const json_value& json_value::operator[](std::string_view name) const noexcept {
    for (std::size_t i = 0; i < names_.size(); ++i) {
        if (names_[i] == name) { return items_[i]; }
    }
    return absent;
}

const std::vector<json_value>& json_value::items() const noexcept {
    return kind_ == kind::array ? items_ : absent.items_;
}

std::optional<std::int64_t> json_value::int64() const noexcept {
    return integer_of<std::int64_t>(*this);
}
std::optional<std::uint64_t> json_value::uint64() const noexcept {
    return integer_of<std::uint64_t>(*this);
}

}  // namespace heph::remote::etcd
