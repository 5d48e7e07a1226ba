#pragma once

// Which of several ready actors runs next.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heph::testing {

/// Makes the choices of a `step_executor`, and remembers them. Equal schedules make equal choices.
///
/// Its text names it, and `parse` makes it again: `in-order`, `seed:42`, or the choices one by one,
/// `path:0.2.1` (of those that were ready the first, then the third, then the second, in the order
/// in which they were woken; and the first from there on). Choices count only where there is one:
/// a single ready actor takes none.
class schedule {
public:
    /// A choice, and from how many.
    struct choice {
        std::size_t chosen;
        std::size_t among;
    };

    /// Always takes who was woken first.
    [[nodiscard]] static schedule in_order() { return schedule(); }

    /// Chooses at random. The same seed chooses the same everywhere.
    [[nodiscard]] static schedule random(std::uint64_t seed);

    /// Makes these choices, then takes who was woken first.
    [[nodiscard]] static schedule path(std::vector<std::size_t> choices);

    /// Makes the schedule that a text names; nothing when it names none.
    [[nodiscard]] static std::optional<schedule> parse(std::string_view text);

    /// Chooses a number below `among`, which is more than 1.
    [[nodiscard]] std::size_t choose(std::size_t among);

    /// Gives what was chosen so far.
    [[nodiscard]] const std::vector<choice>& choices() const noexcept { return made_; }

    /// Tells whether a path had a choice that there was not: what runs is not what it was made for,
    /// or is not deterministic.
    [[nodiscard]] bool has_diverged() const noexcept { return diverged_; }

    /// Names the schedule.
    [[nodiscard]] std::string to_string() const;

    /// Names the path it took so far, which leads to the same state, however it was chosen.
    [[nodiscard]] std::string path_taken() const;

private:
    schedule() = default;

    enum class kind : std::uint8_t { in_order, random, path };

    kind kind_ = kind::in_order;
    bool diverged_ = false;
    std::uint64_t seed_ = 0;
    std::uint64_t state_ = 0;
    std::vector<std::size_t> given_;
    std::vector<choice> made_;
};

}  // namespace heph::testing
