#include <charconv>
#include <system_error>
#include <utility>

#include <heph/core/testing/schedule.hpp>

namespace heph::testing {

namespace {

constexpr std::string_view in_order_text = "in-order";
constexpr std::string_view seed_text = "seed:";
constexpr std::string_view path_text = "path:";

template <typename Number>
std::optional<Number> to_number(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) { return std::nullopt; }
    return number;
}

std::string join_path(const std::vector<std::size_t>& choices) {
    std::string text(path_text);
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (i != 0) { text += '.'; }
        text += std::to_string(choices[i]);
    }
    return text;
}

// Steele, Lea and Flood: Fast splittable pseudorandom number generators (2014), SplitMix64.
std::uint64_t next_random(std::uint64_t& state) noexcept {
    state += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31U);
}

}  // namespace

schedule schedule::random(std::uint64_t seed) {
    schedule made;
    made.kind_ = kind::random;
    made.seed_ = seed;
    made.state_ = seed;
    return made;
}

schedule schedule::path(std::vector<std::size_t> choices) {
    if (choices.empty()) { return in_order(); }
    schedule made;
    made.kind_ = kind::path;
    made.given_ = std::move(choices);
    return made;
}

std::optional<schedule> schedule::parse(std::string_view text) {
    if (text == in_order_text) { return in_order(); }
    if (text.starts_with(seed_text)) {
        const auto seed = to_number<std::uint64_t>(text.substr(seed_text.size()));
        if (!seed) { return std::nullopt; }
        return random(*seed);
    }
    if (!text.starts_with(path_text)) { return std::nullopt; }
    text.remove_prefix(path_text.size());
    std::vector<std::size_t> choices;
    while (!text.empty()) {
        const std::size_t dot = text.find('.');
        const auto number = to_number<std::size_t>(text.substr(0, dot));
        if (!number) { return std::nullopt; }
        choices.push_back(*number);
        if (dot == std::string_view::npos) { break; }
        text.remove_prefix(dot + 1);
        if (text.empty()) { return std::nullopt; }
    }
    return path(std::move(choices));
}

std::size_t schedule::choose(std::size_t among) {
    std::size_t chosen = 0;
    if (kind_ == kind::random) {
        chosen = static_cast<std::size_t>(next_random(state_) % among);
    } else if (made_.size() < given_.size()) {
        chosen = given_[made_.size()];
        if (chosen >= among) {
            diverged_ = true;
            chosen = among - 1;
        }
    }
    made_.push_back({chosen, among});
    return chosen;
}

std::string schedule::to_string() const {
    switch (kind_) {
        case kind::in_order: return std::string(in_order_text);
        case kind::random: return std::string(seed_text) + std::to_string(seed_);
        case kind::path: break;
    }
    return join_path(given_);
}

std::string schedule::path_taken() const {
    std::vector<std::size_t> taken;
    std::size_t used = 0;  // Up to the last choice that was not the first.
    for (const choice& one : made_) {
        taken.push_back(one.chosen);
        if (one.chosen != 0) { used = taken.size(); }
    }
    taken.resize(used);
    return taken.empty() ? std::string(in_order_text) : join_path(taken);
}

}  // namespace heph::testing
