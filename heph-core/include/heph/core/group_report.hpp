#pragma once

// What came of a message that was sent to a whole group.

#include <cstddef>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/actor_ref.hpp>

namespace heph {

/// Says which member of a group did not get a message, and why.
template <typename M>
class group_failure {
public:
    group_failure(actor_ref<M> member, send_failure reason) noexcept
        : member_(std::move(member)), reason_(reason) {}
    /// The member's mapping, or the copy for it, threw.
    group_failure(actor_ref<M> member, std::exception_ptr exception) noexcept
        : member_(std::move(member)),
          reason_(send_failure::refused),
          exception_(std::move(exception)) {}

    [[nodiscard]] const actor_ref<M>& member() const noexcept { return member_; }
    [[nodiscard]] send_failure reason() const noexcept { return reason_; }
    [[nodiscard]] std::string_view message() const noexcept {
        return exception_ ? "sending to it threw an exception" : to_string(reason_);
    }
    /// Gives what the member's mapping or function threw, or the copying of the message; else null.
    [[nodiscard]] const std::exception_ptr& exception() const noexcept { return exception_; }

private:
    actor_ref<M> member_;
    send_failure reason_;
    std::exception_ptr exception_;
};

/// Says what came of a message that was sent to a whole group.
template <typename M>
class [[nodiscard]] group_report {
public:
    group_report() noexcept = default;

    /// Tells how many members got it.
    [[nodiscard]] std::size_t sent() const noexcept { return sent_; }
    /// Tells whether every member got it.
    [[nodiscard]] bool all_sent() const noexcept { return failures_.empty(); }
    [[nodiscard]] explicit operator bool() const noexcept { return all_sent(); }
    /// Gives the members that did not get it, first those that failed first.
    [[nodiscard]] const std::vector<group_failure<M>>& failures() const noexcept {
        return failures_;
    }

    void add_sent() noexcept { ++sent_; }
    void add(group_failure<M> failure) { failures_.push_back(std::move(failure)); }

private:
    std::size_t sent_ = 0;
    std::vector<group_failure<M>> failures_;
};

}  // namespace heph
