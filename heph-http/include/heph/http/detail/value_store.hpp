#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace heph::http::detail {

/// Holds values, one of each type. It is one pointer, and allocates for each value.
class value_store {
public:
    value_store() noexcept = default;
    value_store(value_store&&) noexcept = default;
    value_store& operator=(value_store&&) noexcept = default;
    ~value_store() { clear(); }

    /// Puts a value in the place of the one of its type.
    template <typename T>
    T& set(T value) {
        if (T* const found = find<T>()) {
            *found = std::move(value);
            return *found;
        }
        auto added = std::make_unique<holder<T>>(std::move(value));
        T& kept = added->value;
        added->next = std::move(first_);
        first_ = std::move(added);
        return kept;
    }

    /// Gives the value of a type, or null.
    template <typename T>
    [[nodiscard]] T* find() const noexcept {
        for (node* at = first_.get(); at != nullptr; at = at->next.get()) {
            if (at->key == &key_of<T>) { return &static_cast<holder<T>*>(at)->value; }
        }
        return nullptr;
    }

    void clear() noexcept {
        // One by one, so that a value which looks here finds the others.
        while (first_) {
            const std::unique_ptr<node> gone = std::move(first_);
            first_ = std::move(gone->next);
        }
    }

private:
    // Types differ in its address. It is not constant, so that no linker folds two of them.
    template <typename T>
    static inline char key_of = 0;

    struct node {
        explicit node(const char* of) noexcept : key(of) {}
        node(const node&) = delete;
        node& operator=(const node&) = delete;
        virtual ~node() = default;

        const char* key;
        std::unique_ptr<node> next;
    };

    template <typename T>
    struct holder final : node {
        static_assert(std::is_same_v<T, std::remove_cvref_t<T>>);
        explicit holder(T held) noexcept(std::is_nothrow_move_constructible_v<T>)
            : node(&key_of<T>), value(std::move(held)) {}
        T value;
    };

    std::unique_ptr<node> first_;
};

}  // namespace heph::http::detail
