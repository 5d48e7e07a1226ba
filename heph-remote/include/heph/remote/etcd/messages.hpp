#pragma once

// What is asked of etcd, and what it answers.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heph::remote::etcd {

/// A key with its value, as etcd keeps it.
class key_value {
public:
    key_value() = default;

    std::string key;
    std::string value;
    std::int64_t create_revision = 0;  ///< Of the change that made the key.
    std::int64_t mod_revision = 0;     ///< Of its last change.
    std::int64_t version = 0;          ///< 1 for a key that was just made.
    std::int64_t lease = 0;            ///< The lease that it depends on, or 0.
};

/// Some keys, as they all were at one revision.
class range_result {
public:
    range_result() = default;

    std::int64_t revision = 0;  ///< Of the store, when it was read.
    std::uint64_t cluster = 0;  ///< Which etcd cluster answered.
    std::vector<key_value> found;
    bool more = false;  ///< There are more keys than were asked for.
};

/// What a transaction did.
class transaction_result {
public:
    transaction_result() = default;

    bool succeeded = false;     ///< All conditions held.
    std::int64_t revision = 0;  ///< Of the store, afterwards.
    /// What the `get`s of the branch that was taken found, one after the other.
    std::vector<key_value> found;
};

/// A change of a key.
class watch_event {
public:
    watch_event(bool is_removed, key_value its_key) noexcept
        : removed(is_removed), what(std::move(its_key)) {}

    bool removed = false;
    key_value what;  ///< Of a removed one, the key and `mod_revision` only.
};

/// Changes that a watch tells at once.
class watch_batch {
public:
    watch_batch() = default;

    /// The events are all the keys that there are, each as a put: what was known before is void.
    bool reset = false;
    /// Besides `reset`: the store lost changes that it had told of, as when a backup was restored.
    /// Revisions count on from this batch's, so that older ones cannot be compared with new ones.
    bool replaced = false;
    std::int64_t revision = 0;  ///< Of the last event, or of the list.
    std::vector<watch_event> events;
};

/// A lease: what depends on it is removed when it is not kept alive for its time to live.
class lease_grant {
public:
    lease_grant() = default;

    std::int64_t id = 0;
    std::int64_t ttl_seconds = 0;  ///< May be more than was asked for.
};

/// Changes that are made all or none, if conditions hold, or else others.
///
///     etcd::transaction claim;
///     claim.if_absent("/leader").then_put("/leader", "a", lease).else_get("/leader");
///     const auto done = co_await client.commit(claim);
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class transaction {
public:
    /// Requires that there is no such key.
    transaction& if_absent(std::string_view key) { return if_create_revision(key, 0); }
    /// Requires that the key was made by the change of that revision, and not removed since.
    transaction& if_create_revision(std::string_view key, std::int64_t revision);
    /// Requires that the key's last change was that of this revision.
    transaction& if_mod_revision(std::string_view key, std::int64_t revision);
    /// Requires that the key has this value.
    transaction& if_value(std::string_view key, std::string_view value);
    /// Requires that the key depends on this lease.
    transaction& if_lease(std::string_view key, std::int64_t lease);

    transaction& then_put(std::string_view key, std::string_view value, std::int64_t lease = 0);
    transaction& then_get(std::string_view key);
    transaction& then_remove(std::string_view key);
    transaction& else_put(std::string_view key, std::string_view value, std::int64_t lease = 0);
    transaction& else_get(std::string_view key);
    transaction& else_remove(std::string_view key);

    /// Gives the request's JSON.
    [[nodiscard]] std::string body() const;

private:
    transaction& compare(std::string_view key, std::string_view target, std::string_view field,
                         std::string value);

    std::string conditions_;
    std::string then_;
    std::string else_;
};

}  // namespace heph::remote::etcd
