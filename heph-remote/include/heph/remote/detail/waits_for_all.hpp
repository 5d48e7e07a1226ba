#pragma once

namespace heph::remote::detail {

/// Marks where a reference leads to when a message has to be sent by `send`, as `try_send` may
/// give it to some of its receivers only.
struct waits_for_all {
    waits_for_all() = default;
    waits_for_all(const waits_for_all&) = delete;
    waits_for_all& operator=(const waits_for_all&) = delete;
    virtual ~waits_for_all() = default;
};

}  // namespace heph::remote::detail
