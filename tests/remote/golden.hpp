#pragma once

// Bytes of the wire format that are committed: doc/golden/v<version>.txt of heph-remote.
//
// A line is a name, a colon and bytes as hexadecimal text. Lines of a released version never
// change: they are what programs out there send, and understand.

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "remote/hex.hpp"

namespace heph::remote::testing {

/// Holds the lines of one version: those of the versions before, but for what it says itself.
class golden_lines {
public:
    explicit golden_lines(std::uint32_t version) {
        for (std::uint32_t each = 1; each <= version; ++each) { read(each); }
    }

    /// Gives the text of a line. *Errors*: throws when there is none of that name.
    [[nodiscard]] const std::string& text(const std::string& name) const {
        const auto at = lines_.find(name);
        if (at == lines_.end()) { throw std::out_of_range("no golden line " + name); }
        return at->second;
    }
    [[nodiscard]] std::vector<std::byte> bytes(const std::string& name) const {
        return bytes_of(text(name));
    }
    [[nodiscard]] const std::map<std::string, std::string>& all() const { return lines_; }

private:
    void read(std::uint32_t version) {
        const std::string path =
            std::string(HEPH_GOLDEN_DIR) + "/v" + std::to_string(version) + ".txt";
        std::ifstream file(path);
        if (!file) { throw std::runtime_error(path + " cannot be read"); }
        for (std::string line; std::getline(file, line);) {
            const auto colon = line.find(": ");
            if (line.starts_with('#') || colon == std::string::npos) { continue; }
            lines_.insert_or_assign(line.substr(0, colon), line.substr(colon + 2));
        }
    }

    std::map<std::string, std::string> lines_;
};

}  // namespace heph::remote::testing
