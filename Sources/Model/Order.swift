/// The indices of `keys`, of the least key first; of equal ones the first. Everything is sorted by this: the library's
/// own sort is expanded anew, in two kilobytes, for each type and each comparison.
@inline(never)
package func ascendingOrder(of keys: [Double]) -> [Int] {
    keys.indices.sorted { keys[$0] == keys[$1] ? $0 < $1 : keys[$0] < keys[$1] }
}

extension [Int] {
    /// Numbers below 2^53 in ascending order.
    package func ascending() -> [Int] { ascendingOrder(of: map { Double($0) }).map { self[$0] } }
}
