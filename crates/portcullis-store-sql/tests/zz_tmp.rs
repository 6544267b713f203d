mod support;
use portcullis_store::contract::support::*;
use portcullis_store::*;
#[tokio::test]
async fn real() {
    let (store, dir) = support::sqlite().await.unwrap();
    let large = "x".repeat(200_000);
    let mut n = 0;
    let e = loop { match Responses::create(&store, finished(&format!("r{n}"), n, &large)).await { Ok(()) => n += 1, Err(e) => break e } };
    println!("{n} stored, then {e:?}");
    let e = Responses::create(&store, finished("x", 0, &large)).await;
    println!("again {e:?}");
    let small = Responses::get(&store, &principal(), &id("r0")).await.unwrap().is_some();
    println!("readable {small}");
    let before = Responses::stored_bytes(&store).await.unwrap();
    let r = store.shrink(before / 2).await;
    println!("shrink {r:?} {} -> {}", before, Responses::stored_bytes(&store).await.unwrap());
    for f in std::fs::read_dir(dir.path()).unwrap() { let f = f.unwrap(); println!("{:?} {}", f.file_name(), f.metadata().unwrap().len()); }
    let e = Responses::create(&store, finished("x", 0, &large)).await;
    println!("again {e:?}");
}
