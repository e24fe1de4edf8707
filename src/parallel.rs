//! Pure work over all processors.

/// Below this many items for each processor, starting threads costs more than it saves.
const LEAST_SHARE: usize = 16;

/// Maps every item over all processors; the results stand in the order of the items.
///
/// ```
/// let squares = tagwright::parallel::map(&[1, 2, 3], |it| it * it);
/// assert_eq!(squares, [1, 4, 9]);
/// ```
pub fn map<T: Sync, R: Send>(items: &[T], map: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = processors.min(items.len() / LEAST_SHARE);
    if workers < 2 {
        return items.iter().map(map).collect();
    }
    let share = items.len().div_ceil(workers);
    let map = &map;
    std::thread::scope(|scope| {
        let handles = items
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(map).collect::<Vec<_>>()));
        let handles = handles.collect::<Vec<_>>();
        let parts = handles.into_iter().map(|handle| {
            handle
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        parts.flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        for count in [0, 1, 15, 16, 33, 1000] {
            let items = (0..count).collect::<Vec<_>>();
            assert_eq!(
                map(&items, |it| it * 2),
                (0..count).map(|it| it * 2).collect::<Vec<_>>()
            );
        }
    }
}
