#pragma once

namespace heph::http::detail {

/// What stands in an `idle_list`, as a base of it.
///
/// *Thread safety*: unsafe: one worker's. *Lifetime*: it leaves its list when it is destroyed.
class idle_link {
public:
    idle_link() noexcept = default;
    idle_link(const idle_link&) = delete;
    idle_link& operator=(const idle_link&) = delete;
    ~idle_link() { leave(); }

    /// Leaves the list that it is in, if any.
    void leave() noexcept {
        if (next_ == nullptr) { return; }
        before_->next_ = next_;
        next_->before_ = before_;
        next_ = nullptr;
    }

private:
    friend class idle_list;
    idle_link* before_ = nullptr;
    idle_link* next_ = nullptr;  // Null while it is in no list.
};

/// The connections of one worker that wait for a request, in the order in which they began to.
///
/// *Lifetime*: it outlives those who are in it.
class idle_list {
public:
    idle_list() noexcept { ends_.before_ = ends_.next_ = &ends_; }
    idle_list(const idle_list&) = delete;
    idle_list& operator=(const idle_list&) = delete;
    ~idle_list() { ends_.next_ = nullptr; }

    /// Puts it behind all others. *Requires*: it is in no list.
    void add(idle_link& waiting) noexcept {
        waiting.before_ = ends_.before_;
        waiting.next_ = &ends_;
        ends_.before_->next_ = &waiting;
        ends_.before_ = &waiting;
    }
    /// Gives the one that waits for the longest time; null when there is none.
    [[nodiscard]] idle_link* oldest() noexcept {
        return ends_.next_ == &ends_ ? nullptr : ends_.next_;
    }

private:
    idle_link ends_;
};

}  // namespace heph::http::detail
