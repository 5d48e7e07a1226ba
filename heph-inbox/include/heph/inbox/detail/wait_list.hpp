#pragma once

// Who waits, in the order in which they came.

#include <heph/inbox/assert.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::inbox::detail {

/// An entry of a `wait_list`. It lives in the future that waits, which has to stay where it is and
/// to unlink it before it goes.
struct wait_node {
    wait_node* next = nullptr;
    wait_node* previous = nullptr;
    waker who;  // Empty once it was taken to be woken.

    wait_node() noexcept = default;
    wait_node(const wait_node&) = delete;
    wait_node& operator=(const wait_node&) = delete;

    [[nodiscard]] bool linked() const noexcept { return next != nullptr; }
};

/// An intrusive queue of waiting futures, one pointer large: the nodes form a ring.
///
/// *Thread safety*: none of its own; its owner guards it, and every field of the nodes, by a lock.
class wait_list {
public:
    [[nodiscard]] bool empty() const noexcept { return front_ == nullptr; }
    [[nodiscard]] wait_node* front() const noexcept { return front_; }

    /// Adds to the end. *Requires*: the node is in no list.
    void push_back(wait_node& node) noexcept {
        HEPH_ASSERT(!node.linked());
        if (front_ == nullptr) {
            node.next = node.previous = &node;
            front_ = &node;
            return;
        }
        node.next = front_;
        node.previous = front_->previous;
        node.previous->next = &node;
        front_->previous = &node;
    }

    /// Takes out one node from wherever it is. *Requires*: it is in this list.
    void remove(wait_node& node) noexcept {
        HEPH_ASSERT(node.linked());
        if (node.next == &node) {
            front_ = nullptr;
        } else {
            node.previous->next = node.next;
            node.next->previous = node.previous;
            if (front_ == &node) { front_ = node.next; }
        }
        node.next = node.previous = nullptr;
    }

private:
    wait_node* front_ = nullptr;
};

}  // namespace heph::inbox::detail
